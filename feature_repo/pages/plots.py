"""Plots of points over two axes as inline SVG: curves, and predicted against observed values.

Horizontal positions are percentages and vertical ones pixels, so a plot fits any width (`charts.py` draws bars).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from feature_repo.pages.charts import Fill
from feature_repo.pages.formats import number
from feature_repo.pages.markup import Markup, element

PLOT_HEIGHT = 190  # pixels
RADIUS = 3.5  # pixels


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a plot; `words` is its tooltip."""

    x: float
    y: float
    words: str
    interval: tuple[float, float] | None = None  # low and high end of a vertical whisker


@dataclass(frozen=True, slots=True)
class PointSeries:
    """Points of one colour, in the order of x; `joined` draws lines between them."""

    marks: Sequence[Mark]
    fill: Fill = "accent"
    joined: bool = False


def plot(
    series: Sequence[PointSeries],
    *,
    across: tuple[float, float],
    up: tuple[float, float],
    label: str,
    diagonal: bool = False,
) -> Markup:
    """Draws series over common axes.

    Args:
        series: The points; points outside of the axes are drawn outside.
        across: Ends of the horizontal axis, different from each other.
        up: Ends of the vertical axis, different from each other.
        label: What the plot shows, for screen readers.
        diagonal: Whether to draw the line of equal values; both axes must have the same ends.
    """

    def x(value: float) -> str:
        return f"{100 * (value - across[0]) / (across[1] - across[0]):.2f}%"

    def y(value: float) -> float:
        return PLOT_HEIGHT * (1 - (value - up[0]) / (up[1] - up[0]))

    drawn = [
        element("line", x2="100%", y1=PLOT_HEIGHT * part, y2=PLOT_HEIGHT * part, class_="grid") for part in (0, 0.5)
    ]
    drawn.append(element("line", x2="100%", y1=PLOT_HEIGHT, y2=PLOT_HEIGHT, class_="base"))
    if diagonal:
        drawn.append(element("line", x1="0%", x2="100%", y1=PLOT_HEIGHT, y2=0, class_="base"))
    for points in series:
        if points.joined:
            for first, second in zip(points.marks, points.marks[1:], strict=False):
                ends = {"x1": x(first.x), "x2": x(second.x), "y1": y(first.y), "y2": y(second.y)}
                drawn.append(element("line", **ends, class_=f"line-{points.fill}"))
        for mark in points.marks:
            if mark.interval is not None:
                low, high = mark.interval
                drawn.append(element("line", x1=x(mark.x), x2=x(mark.x), y1=y(low), y2=y(high), class_="whisker"))
            tooltip = element("title", mark.words)
            drawn.append(element("circle", tooltip, cx=x(mark.x), cy=y(mark.y), r=RADIUS, class_=f"fill-{points.fill}"))
    middle = (up[0] + up[1]) / 2
    scale = element("div", *(element("span", number(value)) for value in (up[1], middle, up[0])), class_="scale axis")
    chart = element("svg", *drawn, height=PLOT_HEIGHT, role="img", aria_label=label)
    below = element("div", *(element("span", number(value)) for value in across), class_="ends axis")
    return element("div", scale, chart, below, class_="plot")
