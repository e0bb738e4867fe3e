"""Conversion rate from the first objective to the strongest objective; requires several objectives."""

from __future__ import annotations

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column, Table
from feature_repo.features.snapshots.expressions import prior, smoothed

RATE_STRENGTH = 20.0  # weight of the global rate, in events of the first objective


class ConversionGroup(SnapshotGroup):
    """Events of the strongest objective per event of the first over 30 days, smoothed towards the rate of all users."""

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        return ("conversion_30d",) if len(facts.objectives) > 1 else ()

    def event_sums(self, activity: Activity) -> dict[str, Column]:
        grade = activity.events.grade
        first, strongest = activity.objectives[0], activity.objectives[-1]
        return {f"num_{first}": (grade == 1).sum(), f"num_{strongest}": (grade == len(activity.objectives)).sum()}

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:
        ends = (feature_set.objectives[0], feature_set.objectives[-1])
        return {f"num_{objective}_30d": over.last(f"num_{objective}", 30) for objective in ends}

    def priors(self, activity: Activity) -> dict[str, Table]:
        grade = activity.events.grade
        daily = activity.events.group_by("day").agg(
            converted=(grade == len(activity.objectives)).sum(), tried=(grade == 1).sum()
        )
        return {"conversion_prior": prior(daily, "converted", "tried", "conversion_prior", activity.calendar)}

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:
        first, strongest = activity.objectives[0], activity.objectives[-1]
        rate = smoothed(rows[f"num_{strongest}_30d"], rows[f"num_{first}_30d"], rows.conversion_prior, RATE_STRENGTH)
        return {"conversion_30d": rate}
