"""Age of an item; every dataset has this column, and the filters use it too."""

from __future__ import annotations

from collections.abc import Mapping

import ibis

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column, Table


class ItemAgeGroup(SnapshotGroup):
    """Days since the item was created or first seen, from the earlier of the two."""

    extremes: Mapping[str, str] = {"first_us": "min"}
    content = ("created_at_us",)
    stored = ("created_at",)

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:  # noqa: ARG002
        return ("age_days",)

    def event_sums(self, activity: Activity) -> dict[str, Column]:
        return {"first_us": activity.events.time_us.min()}

    def impression_sums(self, activity: Activity) -> dict[str, Column]:
        return {"first_us": activity.shown.time_us.min()}

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:  # noqa: ARG002
        return {"first_seen_us": over.so_far(over.rows.first_us.min())}

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:  # noqa: ARG002
        created, seen = rows.static_created_at_us, rows.first_seen_us
        earlier = ibis.least(ibis.coalesce(created, seen), ibis.coalesce(seen, created))
        return {"created_at": earlier.cast("float64") / 1e6}
