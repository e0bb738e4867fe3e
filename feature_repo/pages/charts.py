"""The charts of the reports as inline SVG.

Horizontal positions are percentages, and text is HTML or has a fixed size. So a chart fits any width and stays readable
on a phone. Every bar has a tooltip with its exact values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from feature_repo.pages.formats import number, percent
from feature_repo.pages.markup import Markup, element, joined

Fill = Literal["accent", "soft", "rest", "good", "warn", "bad"]

ROW_HEIGHT = 18  # pixels, height of the row of a horizontal bar
HISTOGRAM_HEIGHT = 64
DAYS_HEIGHT = 150
SPIKE_HEIGHT = 18  # pixels above the days for the names of spikes
MOST_SPACED = 240  # days; a chart with more bars has no gaps


@dataclass(frozen=True, slots=True)
class Bar:
    """One horizontal bar.

    Attributes:
        label: Name on the left.
        value: Length, at least 0.
        words: Values on the right.
        interval: Low and high end of the whisker; None for no whisker.
        fill: Colour.
    """

    label: str
    value: float
    words: str
    interval: tuple[float, float] | None = None
    fill: Fill = "accent"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two values of a bin, the earlier drawn above the later; attributes as in `Bar`."""

    label: str
    before: float
    after: float
    words: str


@dataclass(frozen=True, slots=True)
class DayBar:
    """Rows of a UTC day (ISO date): kept, bad and from bots, and whether the day is a spike."""

    day: str
    kept: int
    bad: int = 0
    bots: int = 0
    spike: bool = False

    @property
    def rows(self) -> int:
        return self.kept + self.bad + self.bots


def legend(entries: Iterable[tuple[Fill, str]], *more: object) -> Markup:
    """The meaning of the colours: (fill, words) each, then further words."""
    keys = (element("span", element("i", class_=f"fill-{fill}"), words) for fill, words in entries)
    return element("p", *keys, *more, class_="legend")


def bars(entries: Sequence[Bar]) -> Markup:
    """Horizontal bars from zero on a common scale, each with its interval if it has one."""
    ends = [bar.interval[1] if bar.interval else bar.value for bar in entries]
    scale = 100 / (max(ends, default=0.0) or 1.0)
    return element("div", *(_row(bar.label, bar.words, *_bar(bar, scale)) for bar in entries), class_="bars")


def _bar(bar: Bar, scale: float) -> list[Markup]:
    middle, top = ROW_HEIGHT / 2, 3
    drawn = [
        element("rect", y=top, width="100%", height=ROW_HEIGHT - 2 * top, rx=2, class_="track"),
        _rect(bar.value * scale, top, ROW_HEIGHT - 2 * top, bar.fill),
    ]
    if bar.interval is not None:
        low, high = (f"{end * scale:.2f}%" for end in bar.interval)
        drawn.append(element("line", x1=low, x2=high, y1=middle, y2=middle, class_="whisker"))
        drawn += [element("line", x1=x, x2=x, y1=middle - 4, y2=middle + 4, class_="whisker") for x in (low, high)]
    return drawn


def paired_bars(entries: Sequence[Pair], more: str = "") -> Markup:
    """Two distributions over the same bins, a pair of bars for each; `more` is a line below them."""
    scale = 100 / (max((max(pair.before, pair.after) for pair in entries), default=0.0) or 1.0)
    half = ROW_HEIGHT // 2
    rows = [
        _row(
            pair.label,
            pair.words,
            _rect(pair.before * scale, 0, half, "rest"),
            _rect(pair.after * scale, half, half, "accent"),
        )
        for pair in entries
    ]
    return element("div", *rows, element("span", more, class_="more") if more else "", class_="bars")


def meter(share: float, fill: Fill) -> Markup:
    """A small bar in a cell of a table, `share` in [0, 1] of its full length."""
    return element("svg", _rect(100 * share, 0, 9, fill), height=9, class_="meter")


def histogram(edges: Sequence[float], weights: Sequence[float], ends: tuple[float, float] | None = None) -> Markup:
    """Bars of equal drawn width.

    Args:
        edges: Bin edges [n + 1].
        weights: Shares of the rows [n].
        ends: Labels below the first and the last bar; None writes the outermost edges.
    """
    first, last = ends or (edges[0], edges[-1])
    highest = max(weights, default=0.0) or 1.0
    step = 100 / max(len(weights), 1)
    drawn = []
    for place, weight in enumerate(weights):
        height = HISTOGRAM_HEIGHT * weight / highest
        words = f"{number(edges[place])} to {number(edges[place + 1])}: {percent(weight)}"
        drawn.append(_column(words, place * step, 0.94 * step, HISTOGRAM_HEIGHT - height, height, "accent"))
    drawn.append(_level(HISTOGRAM_HEIGHT, "base"))
    chart = element("svg", *drawn, height=HISTOGRAM_HEIGHT, role="img", aria_label="Histogram")
    return joined([chart, _ends(number(first), number(last))])


def daily_bars(days: Sequence[DayBar]) -> Markup:
    """Rows per day, stacked from kept over bots to bad, with spikes marked; days without rows are gaps."""
    highest = max((day.rows for day in days), default=1) or 1
    step = 100 / max(len(days), 1)
    width = step if len(days) > MOST_SPACED else 0.86 * step
    floor = SPIKE_HEIGHT + DAYS_HEIGHT
    drawn = [_level(SPIKE_HEIGHT + DAYS_HEIGHT * part, "grid") for part in (0.0, 0.5, 1.0)]
    for place, day in enumerate(days):
        base = float(floor)
        words = f"{day.day}: {day.kept:,} kept, {day.bad:,} bad, {day.bots:,} of bots"
        stack: list[tuple[int, Fill]] = [(day.kept, "accent"), (day.bots, "warn"), (day.bad, "bad")]
        for rows, fill in stack:
            height = DAYS_HEIGHT * rows / highest
            base -= height
            if rows:
                drawn.append(_column(words, place * step, width, base, height, fill))
        if day.spike:
            middle = f"{place * step + width / 2:.2f}%"
            drawn.append(element("text", f"▲ {day.day[5:]}", x=middle, y=base - 5, text_anchor="middle"))
    scale = element(
        "div", *(element("span", number(round(highest * part))) for part in (1.0, 0.5, 0.0)), class_="scale axis"
    )
    chart = element(
        "div",
        scale,
        element("svg", *drawn, height=floor, role="img", aria_label="Rows by day"),
        _ends(days[0].day, days[-1].day) if days else "",
        class_="days",
    )
    return joined([chart, legend([("accent", "kept"), ("warn", "bots"), ("bad", "bad")], "▲ spike")])


def _row(label: str, words: str, *drawn: Markup) -> Markup:
    """Name, drawing and values: three cells of the surrounding grid."""
    tooltip = element("title", f"{label}: {words}")
    return joined(
        [
            element("span", label, title=label),
            element("svg", tooltip, *drawn, height=ROW_HEIGHT, role="img"),
            element("span", words, class_="num"),
        ]
    )


def _rect(width: float, y: float, height: float, fill: Fill) -> Markup:
    """A bar from the left edge, `width` in percent; a value near zero is drawn as a thin line."""
    return element("rect", width=f"{max(width, 0.4):.2f}%", y=y, height=height, rx=2, class_=f"fill-{fill}")


def _column(words: str, x: float, width: float, y: float, height: float, fill: Fill) -> Markup:
    """A vertical bar with a tooltip: `x` and `width` in percent, `y` and `height` in pixels."""
    shape = element("rect", x=f"{x:.3f}%", width=f"{width:.3f}%", y=y, height=height, class_=f"fill-{fill}")
    return element("g", element("title", words), shape)


def _level(y: float, kind: str) -> Markup:
    return element("line", x2="100%", y1=y, y2=y, class_=kind)


def _ends(first: str, last: str) -> Markup:
    return element("div", element("span", first), element("span", last), class_="ends axis")
