"""Share of negative events of an item; requires negative events in the log."""

from __future__ import annotations

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column, Table
from feature_repo.features.snapshots.expressions import prior, smoothed

RETURN_STRENGTH = 5.0  # weight of the global share, in decided events


class ReturnsGroup(SnapshotGroup):
    """Share of negative events among the decided events over 30 days, smoothed towards the share of all items."""

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        return ("return_rate_30d",) if facts.has_negatives else ()

    def event_sums(self, activity: Activity) -> dict[str, Column]:
        grade = activity.events.grade
        return {"positives": (grade > 0).sum(), "negatives": (grade < 0).sum()}

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:  # noqa: ARG002
        return {f"{name}_30d": over.last(name, 30) for name in ("positives", "negatives")}

    def priors(self, activity: Activity) -> dict[str, Table]:
        return {"return_prior": return_prior(activity)}

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:  # noqa: ARG002
        decided = rows.positives_30d + rows.negatives_30d
        return {"return_rate_30d": smoothed(rows.negatives_30d, decided, rows.return_prior, RETURN_STRENGTH)}


def return_prior(activity: Activity) -> Table:
    """Daily share of negative events among the decided events over all items: (day, return_prior)."""
    grade = activity.events.grade
    daily = activity.events.group_by("day").agg(negatives=(grade < 0).sum(), all=(grade != 0).sum())
    return prior(daily, "negatives", "all", "return_prior", activity.calendar)
