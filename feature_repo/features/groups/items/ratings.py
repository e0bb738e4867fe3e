"""Ratings of an item; requires ratings or numbers of ratings of items."""

from __future__ import annotations

import ibis

from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup
from feature_repo.features.snapshots.calendar import Column, Table


class RatingsGroup(SnapshotGroup):
    """The mean rating and the log of the number of ratings, as the owner lists them."""

    content = ("rating", "num_ratings")

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        names = {"rating": "rating", "num_ratings": "log_num_ratings"}
        return tuple(name for column, name in names.items() if facts.has_column("items", column))

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:  # noqa: ARG002
        return {
            "rating": rows.static_rating,
            "log_num_ratings": (ibis.greatest(rows.static_num_ratings, 0.0) + 1.0).ln(),
        }
