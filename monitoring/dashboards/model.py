"""The parts of a dashboard, independent of Grafana's JSON model (`grafana.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["timeseries", "stat", "bargauge"]
Unit = Literal["short", "s", "reqps", "rowsps", "percentunit"]


@dataclass(frozen=True, slots=True)
class Series:
    """One query of a panel.

    Attributes:
        expression: PromQL.
        legend: Name of each line; `{{label}}` stands for the value of a label.
    """

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart.

    Attributes:
        title: Title of the chart.
        description: How to read the chart, and its normal values.
        series: Queries that are drawn.
        unit: Unit of the values.
        kind: Lines over time, or the latest values as numbers or bars.
        width: In 24ths of the page.
        limits: Values at which the colour changes to yellow, then red; a single limit is red.
    """

    title: str
    description: str
    series: tuple[Series, ...]
    unit: Unit = "short"
    kind: Kind = "timeseries"
    width: int = 8
    limits: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """Panels below a heading, from left to right."""

    title: str
    panels: tuple[Panel, ...]
