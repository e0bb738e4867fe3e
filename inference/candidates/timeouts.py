"""How long the parts of an online request may take before the slate continues without them."""

from __future__ import annotations

import time
from dataclasses import dataclass

PARALLEL_UP_TO = 8  # queries for which sources run in parallel; larger batches run each source alone


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds each part may take online, for few queries."""

    users: float = 0.05
    sources: float = 0.05
    ranker: float = 0.06


def allowed(limit: float, num_queries: int, deadline: float | None = None) -> float:
    """Seconds a stage may take.

    Args:
        limit: For up to `PARALLEL_UP_TO` queries; in proportion above.
        num_queries: In the batch.
        deadline: `time.monotonic()` at which every stage has to end; None without a deadline.
    """
    seconds = limit * max(1.0, num_queries / PARALLEL_UP_TO)
    return seconds if deadline is None else max(0.0, min(seconds, deadline - time.monotonic()))
