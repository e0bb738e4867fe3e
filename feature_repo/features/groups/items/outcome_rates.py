"""Rates of outcomes per impression of an item, for the objectives with labels on impressions."""

from __future__ import annotations

from collections.abc import Iterator

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column, Table
from feature_repo.features.snapshots.expressions import prior, smoothed

RATE_WINDOWS = (7, 30)  # days
RATE_STRENGTH = 20.0  # weight of the global rate, in impressions


class OutcomeRatesGroup(SnapshotGroup):
    """Labels of each objective per impression, smoothed towards the rate of all items."""

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        return tuple(_name(objective, days) for objective in facts.labelled for days in RATE_WINDOWS)

    def impression_sums(self, activity: Activity) -> dict[str, Column]:
        shown, wanted = activity.shown, _objectives(activity.feature_set)
        return {"impressions": shown.shown.sum()} | {f"label_{name}": shown[f"label_{name}"].sum() for name in wanted}

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:
        return {
            f"{window}_{days}d": over.last(daily, days)
            for objective in _objectives(feature_set)
            for window, daily in (("num_impressions", "impressions"), (f"label_{objective}", f"label_{objective}"))
            for days in RATE_WINDOWS
        }

    def priors(self, activity: Activity) -> dict[str, Table]:
        return {f"{name}_prior": outcome_prior(activity, name) for name in _objectives(activity.feature_set)}

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:
        return {
            _name(objective, days): smoothed(
                rows[f"label_{objective}_{days}d"],
                rows[f"num_impressions_{days}d"],
                rows[f"{objective}_prior"],
                RATE_STRENGTH,
            )
            for objective in _objectives(activity.feature_set)
            for days in RATE_WINDOWS
        }


def outcome_prior(activity: Activity, objective: str) -> Table:
    """The rate of an objective's labels over all items, by day: (day, <objective>_prior)."""
    shown = activity.shown
    labels = shown.group_by("day").agg(hits=shown[f"label_{objective}"].sum(), trials=shown.shown.sum())
    return prior(labels, "hits", "trials", f"{objective}_prior", activity.calendar)


def _name(objective: str, days: int) -> str:
    return f"smoothed_rate_{objective}_{days}d"


def _objectives(feature_set: FeatureSet) -> Iterator[str]:
    """Objectives whose rates are in the feature set."""
    return (name for name in feature_set.objectives if _name(name, RATE_WINDOWS[0]) in feature_set.item_numeric)
