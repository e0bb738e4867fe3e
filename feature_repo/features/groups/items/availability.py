"""Whether an item may be shown: stored for the filters, not used by models."""

from __future__ import annotations

from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup
from feature_repo.features.snapshots.calendar import Column, Table
from feature_repo.features.snapshots.intervals import STATIC


class AvailabilityGroup(SnapshotGroup):
    """In stock, allowed regions and minimum age, as the owner lists them."""

    content = stored = ("in_stock", "regions", "min_age")

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:  # noqa: ARG002
        return {name: rows[STATIC + name] for name in self.stored}
