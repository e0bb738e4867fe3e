"""What time it is for a request: `Query.time`, set once at the edge.

wall     the wall clock
log      the log's end plus the time since start: a log of last year is served as if it had just ended
request  what the header `Kuberec-Time` (RFC 3339) says; replay and tests
"""

from __future__ import annotations

import math
import threading
import time
from datetime import UTC, datetime
from typing import Literal

from feature_repo.errors import RequestError

HEADER = "kuberec-time"
# Of the header: with a day to spare on either side of what calendars, and so the folders of the log, can write.
EARLIEST, LATEST = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2, 9999))

ClockKind = Literal["wall", "log", "request"]


class Clock:
    """Tells the time of requests; safe for threads.

    Args:
        kind: wall, log or request.
        served_end: Latest row of the log that servers wrote before, unix seconds: `log` does not go back behind it.
    """

    def __init__(self, kind: ClockKind = "wall", served_end: float | None = None) -> None:
        self.kind = kind
        self._ahead = -math.inf if served_end is None else served_end - time.monotonic()
        self._lock = threading.Lock()

    def now(self, log_end: float, header: str | None = None) -> float:
        """Unix seconds of a request arriving now.

        Args:
            log_end: Latest event of the data that the bundle in service was made from, unix seconds. A later bundle
                does not turn the time back, nor add to it what passed since the start a second time.
            header: Value of `Kuberec-Time`, None without one.

        Raises:
            RequestError: If the clock is `request` and the header is missing or no RFC 3339 time.
        """
        if self.kind == "wall":
            return time.time()
        if self.kind == "log":
            passed = time.monotonic()
            with self._lock:
                self._ahead = max(self._ahead, log_end - passed)
                return passed + self._ahead
        if not header:
            raise RequestError(
                "The server takes the time from the header Kuberec-Time; send one.", field="Kuberec-Time"
            )
        try:
            moment = parse_moment(header)
        except ValueError as error:
            raise RequestError(f"{error}.", field="Kuberec-Time") from error
        if not EARLIEST <= moment < LATEST:
            raise RequestError(f"{header[:40]!r} is not of the years 2 to 9998.", field="Kuberec-Time")
        return moment


def parse_moment(text: str) -> float:
    """Unix seconds of an RFC 3339 time.

    Raises:
        ValueError: It is none, or has no zone; the message says so.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is no RFC 3339 time") from error
    if moment.tzinfo is None:
        raise ValueError(f"{text[:40]!r} has no zone; write Z for UTC")
    return moment.timestamp()
