"""Recent number of events of each objective, for users and for items; every dataset has these columns."""

from __future__ import annotations

from feature_repo.features.feature_set import WINDOWS, FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column


class CountsGroup(SnapshotGroup):
    """Events of each objective in each window."""

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        return tuple(f"num_{objective}_{days}d" for objective in facts.objectives for days in WINDOWS)

    def event_sums(self, activity: Activity) -> dict[str, Column]:
        grades = enumerate(activity.objectives, start=1)
        return {f"num_{objective}": (activity.events.grade == grade).sum() for grade, objective in grades}

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:
        return {
            f"num_{objective}_{days}d": over.last(f"num_{objective}", days)
            for objective in feature_set.objectives
            for days in WINDOWS
        }
