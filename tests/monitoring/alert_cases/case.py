"""What a history of an alert is: from when on it fires and what it says, or that it stays silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One alert over one history.

    Attributes:
        alert: Its name.
        why: What this history is.
        series: Series -> values, one a minute, as promtool writes them (`0+60x30`: 0, 60, ... 1800).
        at: The first minute it fires, or one at which it stays silent.
        labels: Of the alert that fires, without its severity.
        says: Its description; silence is expected where None.
    """

    alert: str
    why: str
    series: Mapping[str, str]
    at: str
    labels: Mapping[str, str] = field(default_factory=dict)
    says: str | None = None
