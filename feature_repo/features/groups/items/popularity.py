"""Popularity of an item and its trend; every dataset has these columns."""

from __future__ import annotations

import math

import ibis

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column, Table

HALF_LIVES = (2, 7)  # days in which an event loses half of its weight
TREND_WINDOWS = (7, 30)  # days
TREND_FLOOR = 0.1  # events a day; below this rate a trend is noise


class PopularityGroup(SnapshotGroup):
    """Log of the decayed positive events, and log ratio of the daily events of the week to those of the month."""

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:  # noqa: ARG002
        return (*(f"popularity_{days}d" for days in HALF_LIVES), "trend")

    def event_sums(self, activity: Activity) -> dict[str, Column]:
        return {"positives": (activity.events.grade > 0).sum()}

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:  # noqa: ARG002
        columns = {f"positives_{days}d": over.last("positives", days) for days in TREND_WINDOWS}
        for days in HALF_LIVES:
            # A sum of n 2^(-(today - day) / half-life), with the newest day as origin so that nothing overflows.
            age = (over.rows.day - over.calendar.last).cast("float64") / over.calendar.steps(days)
            weighted = over.rows.positives * (age * math.log(2)).exp()
            decayed = over.so_far(weighted.sum()) * (age * -math.log(2)).exp()
            columns[f"popularity_{days}d"] = (decayed + 1.0).ln()
        return columns

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:
        known_days = (rows.day + 1).cast("float64") / activity.calendar.steps(1)  # a young log has no full month
        week, month = (_per_day(rows[f"positives_{days}d"], days, known_days) for days in TREND_WINDOWS)
        return {"trend": (week / month).ln()}


def _per_day(count: Column, days: int, known_days: Column) -> Column:
    return count / ibis.least(known_days, float(days)) + TREND_FLOOR
