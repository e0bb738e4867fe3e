"""The clock of requests: it sets `Query.time`, once, when a request arrives.

wall     the wall clock
log      the log's end plus the time since the start, so that an old log is served as if it had just ended
request  the header `Kuberec-Time` (RFC 3339); for replay and tests
"""

from __future__ import annotations

import math
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Literal

from feature_repo.errors import RequestError

HEADER = "kuberec-time"
# Bounds of the header. They leave a margin to the range of `datetime`, because the log's folders are named by date.
EARLIEST, LATEST = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2, 9999))
# Date, hours and minutes, seconds, fraction, zone. RFC 3339 allows lower-case letters, and a space before the time.
RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:[0-5]\d)?", re.ASCII)

ClockKind = Literal["wall", "log", "request"]


class Clock:
    """Returns the time of requests; thread-safe.

    Args:
        kind: wall, log or request.
        served_end: Time of the latest row in the served log, unix seconds; the clock `log` never returns an earlier
            time.
    """

    def __init__(self, kind: ClockKind = "wall", served_end: float | None = None) -> None:
        self.kind = kind
        self._ahead = -math.inf if served_end is None else served_end - time.monotonic()
        self._lock = threading.Lock()

    def now(self, log_end: float, header: str | None = None) -> float:
        """Returns the time of a request that arrives now, unix seconds.

        Args:
            log_end: Latest event of the data that the served bundle was made from, unix seconds. A later bundle does
                not move the clock back, and does not count the time since the start twice.
            header: Value of `Kuberec-Time`, None without one.

        Raises:
            RequestError: If the clock is `request` and the header is missing or is not an RFC 3339 time.
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
                "The server takes the time from the header Kuberec-Time; send this header.", field="Kuberec-Time"
            )
        try:
            moment = parse_moment(header)
        except ValueError as error:
            raise RequestError(f"{error}.", field="Kuberec-Time") from error
        if not EARLIEST <= moment < LATEST:
            raise RequestError(f"{header[:40]!r} is outside the years 2 to 9998.", field="Kuberec-Time")
        return moment


def parse_moment(text: str) -> float:
    """Parses an RFC 3339 time into unix seconds.

    A leap second counts as the first second after it, as in POSIX time. Digits beyond microseconds are cut off.

    Raises:
        ValueError: The text is not an RFC 3339 time, or has no time zone; the message says which.
    """
    found = RFC_3339.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not an RFC 3339 time")
    date, clock, second, fraction, zone = found.groups()
    if zone is None:
        raise ValueError(f"{text[:40]!r} has no time zone; write Z for UTC")
    is_leap = second == "60"
    try:
        moment = datetime.fromisoformat(
            f"{date}T{clock}:{59 if is_leap else second}.{(fraction or '')[:6]:0<6}{zone.upper()}"
        )
        following = moment.astimezone(UTC) + timedelta(minutes=1) if is_leap else None
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:40]!r} is not an RFC 3339 time") from error
    if following is not None and (following.day, following.hour, following.minute) != (1, 0, 0):
        raise ValueError(f"{text[:40]!r} is not an RFC 3339 time: only the last minute of a month has a second 60")
    return moment.timestamp() + is_leap
