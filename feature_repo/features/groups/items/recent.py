"""Number of events of an item within hours, and its trend; only where items live for hours."""

from __future__ import annotations

from collections.abc import Sequence

from feature_repo.dataset.split import DAY, HOUR
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column, Table

TREND = "trend_hours"
TREND_FLOOR = 0.1  # events an hour; below this rate a trend is noise


class RecentGroup(SnapshotGroup):
    """Events of each objective in each hourly window, and log ratio of the shortest window's rate to the longest's."""

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        counts = tuple(_counts(facts.objectives, facts.item_windows))
        return (*counts, TREND) if counts else ()

    def event_sums(self, activity: Activity) -> dict[str, Column]:
        grades = enumerate(activity.objectives, start=1)
        sums = {f"num_{objective}": (activity.events.grade == grade).sum() for grade, objective in grades}
        return {**sums, "positives": (activity.events.grade > 0).sum()}

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:
        counts = _counts(feature_set.objectives, feature_set.item_windows)
        columns = {name: over.last(f"num_{objective}", _days(hours)) for name, (objective, hours) in counts.items()}
        return columns | {f"positives_{hours}h": over.last("positives", _days(hours)) for hours in _ends(feature_set)}

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:
        short, long = (rows[f"positives_{hours}h"] / hours + TREND_FLOOR for hours in _ends(activity.feature_set))
        return {TREND: (short / long).ln()}


def _counts(objectives: Sequence[str], windows: Sequence[int]) -> dict[str, tuple[str, int]]:
    """Column -> objective and hours."""
    return {f"num_{objective}_{hours}h": (objective, hours) for objective in objectives for hours in windows}


def _ends(feature_set: FeatureSet) -> tuple[int, ...]:
    """Hours of the shortest and the longest window; nothing without hourly windows."""
    return (*feature_set.item_windows[:1], *feature_set.item_windows[-1:])


def _days(hours: int) -> float:
    return hours * HOUR / DAY
