"""What a dashboard is made of, free of how Grafana writes it down (`grafana.py`)."""

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
        legend: Name of a line, `{{label}}` for the value of a label.
    """

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Attributes:
        title: What is seen.
        description: How to read it, and what is ordinary.
        series: What is drawn.
        unit: Of the values.
        kind: Lines over time; or the latest values as numbers or bars.
        width: In 24ths of the page.
        limits: Values from which it is yellow and red; a single one is red.
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
    """Panels under a heading, from left to right."""

    title: str
    panels: tuple[Panel, ...]
