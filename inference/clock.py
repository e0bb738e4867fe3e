"""What time it is for a request: `Query.time`, set once at the edge.

wall     the wall clock
log      the log's end plus the time since start: a log of last year is served as if it had just ended
request  what the header `Kuberec-Time` (RFC 3339) says; replay and tests
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from feature_repo.errors import RequestError

HEADER = "kuberec-time"


@dataclass(frozen=True)
class Clock:
    """Tells the time of requests.

    Attributes:
        kind: wall, log or request.
        started: Monotonic seconds from which `log` counts.
    """

    kind: Literal["wall", "log", "request"] = "wall"
    started: float = field(default_factory=time.monotonic)

    def now(self, log_end: float, header: str | None = None) -> float:
        """Unix seconds of a request arriving now.

        Args:
            log_end: Latest event of the served log, unix seconds.
            header: Value of `Kuberec-Time`, None without one.

        Raises:
            RequestError: If the clock is `request` and the header is missing or no RFC 3339 time.
        """
        if self.kind == "wall":
            return time.time()
        if self.kind == "log":
            return log_end + time.monotonic() - self.started
        if not header:
            raise RequestError(
                "The server takes the time from the header Kuberec-Time; send one.", field="Kuberec-Time"
            )
        try:
            moment = datetime.fromisoformat(header.strip())
        except ValueError as error:
            raise RequestError(f"{header[:40]!r} is no RFC 3339 time.", field="Kuberec-Time") from error
        if moment.tzinfo is None:
            raise RequestError(f"{header[:40]!r} has no zone; write Z for UTC.", field="Kuberec-Time")
        return moment.timestamp()
