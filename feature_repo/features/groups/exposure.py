"""Recent number of impressions, for users and for items; requires impressions in the log."""

from __future__ import annotations

from feature_repo.features.feature_set import WINDOWS, FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column


class ExposureGroup(SnapshotGroup):
    """Impressions in each window."""

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        return tuple(f"num_impressions_{days}d" for days in WINDOWS) if facts.has_impressions else ()

    def impression_sums(self, activity: Activity) -> dict[str, Column]:
        return {"impressions": activity.shown.shown.sum()}

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:  # noqa: ARG002
        return {f"num_impressions_{days}d": over.last("impressions", days) for days in WINDOWS}
