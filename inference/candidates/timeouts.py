"""Time limits of the parts of an online request; after its limit the slate continues without the part."""

from __future__ import annotations

import time
from dataclasses import dataclass

PARALLEL_UP_TO = 8  # largest batch whose sources run in parallel; larger batches run one source at a time


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits in seconds, for up to `PARALLEL_UP_TO` queries."""

    users: float = 0.05
    sources: float = 0.05
    ranker: float = 0.06


def allowed(limit: float, num_queries: int, deadline: float | None = None) -> float:
    """Returns the time limit of a stage in seconds.

    Args:
        limit: Seconds for up to `PARALLEL_UP_TO` queries; the limit grows in proportion above.
        num_queries: Number of queries in the batch.
        deadline: `time.monotonic()` at which every stage must end; None without a deadline.
    """
    seconds = limit * max(1.0, num_queries / PARALLEL_UP_TO)
    return seconds if deadline is None else max(0.0, min(seconds, deadline - time.monotonic()))
