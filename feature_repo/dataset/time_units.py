"""Finds the unit error behind implausible times: numbers written in one unit and read in another.

A plausible time lies between 1990 and a day past the wall clock. These ends differ by a factor of three, and any two
units by a factor of at least 86. So at most one factor makes implausible times plausible.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

DAY = 86400.0
EARLIEST_PLAUSIBLE = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"days": DAY, "seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}


def unit_error(first: float, last: float, now: float | None = None, read_as: str = "") -> str:
    """The unit error that explains a span of times, in words, with the dates that it would give.

    Args:
        first: Unix seconds as read.
        last: Unix seconds as read, at least `first`.
        now: The wall clock in unix seconds; None reads the clock.
        read_as: The unit in which the times were read, a key of `UNITS`; "" if it is unknown.

    Returns:
        Such as "seconds read as nanoseconds, which would be 2025-03-03 to 2025-03-22"; "" if no error explains it.
    """
    latest = (time.time() if now is None else now) + DAY
    found: dict[float, list[str]] = {}
    for written, length in UNITS.items():
        for read, other in UNITS.items():
            factor = float(f"{length / other:.6g}")
            plausible = first * factor >= EARLIEST_PLAUSIBLE and last * factor <= latest
            if plausible and factor != 1 and read_as in ("", read):
                found.setdefault(factor, []).append(f"{written} read as {read}")
    if not found:
        return ""
    factor, pairs = next(iter(found.items()))
    return f"{' or '.join(pairs)}, which would be {date(first * factor)} to {date(last * factor)}"


def date(seconds: float) -> str:
    """The date of a time; the year alone where Python has no such date."""
    try:
        return (EPOCH + timedelta(seconds=seconds)).date().isoformat()
    except OverflowError:
        return f"the year {1970 + seconds / (365.2425 * DAY):,.0f}"


def year(seconds: float) -> str:
    """The year of a time, in words where Python has no date of it."""
    found = date(seconds)
    return found[:4] if found[0].isdigit() else found
