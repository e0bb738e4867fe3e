"""Formats numbers, shares and times for readers."""

from __future__ import annotations

from datetime import UTC, datetime

UNITS = (("days", 86400.0), ("h", 3600.0), ("min", 60.0))


def number(value: float | int | None) -> str:
    """A number: integers with separators, else four significant digits; `-` for None and NaN."""
    if value is None or value != value:
        return "-"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage with up to two decimals; a part is never rounded to 0 % or 100 %."""
    shown = f"{share * 100:.2f}".rstrip("0").rstrip(".")
    if shown == "100" and share < 1:
        return "99.99+ %"
    return "under 0.01 %" if shown == "0" and share > 0 else f"{shown} %"


def short_percent(share: float) -> str:
    """A share in [0, 1] as a percentage inside a sentence: whole percents; one decimal below ten percent."""
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"


def duration(seconds: float | None) -> str:
    """A length of time in the largest unit of which it has two; `-` for None."""
    if seconds is None:
        return "-"
    unit, length = next(((unit, length) for unit, length in UNITS if seconds >= 2 * length), ("s", 1.0))
    return f"{seconds / length:.3g} {unit}"


def moment(seconds: float) -> str:
    """Unix seconds as a UTC date and time to the minute."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
