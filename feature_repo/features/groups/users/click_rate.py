"""Click rate of a user; requires impressions with labels of the first objective."""

from __future__ import annotations

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column, Table
from feature_repo.features.snapshots.expressions import prior, smoothed

RATE_STRENGTH = 20.0  # weight of the global rate, in impressions


class ClickRateGroup(SnapshotGroup):
    """Labels of the first objective per impression over 30 days, smoothed towards the rate of all users."""

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        return ("ctr_30d",) if facts.objectives[0] in facts.labelled else ()

    def impression_sums(self, activity: Activity) -> dict[str, Column]:
        shown = activity.shown
        return {"impressions": shown.shown.sum(), "clicks": shown[f"label_{activity.objectives[0]}"].sum()}

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:  # noqa: ARG002
        return {"num_impressions_30d": over.last("impressions", 30), "clicks_30d": over.last("clicks", 30)}

    def priors(self, activity: Activity) -> dict[str, Table]:
        daily = activity.shown.group_by("day").agg(**self.impression_sums(activity))
        return {"click_prior": prior(daily, "clicks", "impressions", "click_prior", activity.calendar)}

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:  # noqa: ARG002
        return {"ctr_30d": smoothed(rows.clicks_30d, rows.num_impressions_30d, rows.click_prior, RATE_STRENGTH)}
