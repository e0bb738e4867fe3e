"""The interface of a feature group of users or items, and its input.

`snapshots/assembly.py` asks every group of an entity in the same steps:

    marked -> event_sums, impression_sums, daily -> windows -> priors, content, joined -> derived

A group overrides the steps that it needs. Several groups may define a sum, a window or a prior with the same name.
Their definitions must then be equal, and the value is computed once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import ibis

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.snapshots.calendar import Calendar, Column, Table
from feature_repo.features.snapshots.expressions import over_days


@dataclass(frozen=True)
class Activity:
    """The activity of all entities of a kind.

    Attributes:
        key: Key column of the entity, user_id or item_id.
        events: Interactions with their day.
        shown: Impressions and labels with the day on which they became known; see `snapshots.labels.outcomes`.
        items: Content of items as intervals; see `snapshots.intervals.attributes`.
        calendar: The days.
        feature_set: Names the wanted columns.
    """

    key: str
    events: Table
    shown: Table
    items: Table
    calendar: Calendar
    feature_set: FeatureSet

    @property
    def objectives(self) -> tuple[str, ...]:
        """Weakest first."""
        return self.feature_set.objectives


@dataclass(frozen=True)
class Windows:
    """Windows over the daily sums of an entity; every window ends on the day of its row.

    Attributes:
        rows: Daily sums; see `snapshots.spine.spine`.
        key: Key column of the entity.
        calendar: The days.
    """

    rows: Table
    key: str
    calendar: Calendar

    def last(self, name: str, days: float) -> Column:
        """A sum over the last calendar days."""
        return over_days(self.rows[name], self.key, self.rows.day, self.calendar.steps(days))

    def total(self, name: str) -> Column:
        """A sum over all days so far."""
        return over_days(self.rows[name], self.key, self.rows.day, None)

    def so_far(self, aggregate: Column) -> Column:
        """An aggregate of the rows over all days so far."""
        return aggregate.over(ibis.cumulative_window(group_by=self.key, order_by=self.rows.day))


class SnapshotGroup(ABC):
    """Columns of users or items that exist under the same condition.

    Attributes:
        extremes: Daily value -> "min" or "max", for values that are extremes instead of sums.
        content: Columns of the entity's table that `joined` and `derived` read as `static_<name>`.
        stored: Columns of `ITEM_FACTS` that the group always derives, even if no model reads a column of the group.
    """

    extremes: Mapping[str, str] = {}
    content: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()

    @abstractmethod
    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        """Names that the group adds to the feature set, in order; empty if the dataset has no data for them."""

    def marked(self, activity: Activity) -> Table:
        """The events with further columns for `event_sums`; the number of rows does not change."""
        return activity.events

    def event_sums(self, activity: Activity) -> dict[str, Column]:  # noqa: ARG002
        """Daily sums of the events, by name."""
        return {}

    def impression_sums(self, activity: Activity) -> dict[str, Column]:  # noqa: ARG002
        """Daily sums of impressions and labels, by name."""
        return {}

    def daily(self, activity: Activity) -> tuple[Table, ...]:  # noqa: ARG002
        """Further tables of (key, day, sums), at most one row per key and day."""
        return ()

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:  # noqa: ARG002
        """Windows over the daily sums, by name."""
        return {}

    def priors(self, activity: Activity) -> dict[str, Table]:  # noqa: ARG002
        """Global rates by day; see `snapshots.expressions.prior`."""
        return {}

    def joined(self, rows: Table, activity: Activity) -> Table:  # noqa: ARG002
        """The snapshot rows with columns of other entities; the number of rows does not change."""
        return rows

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:  # noqa: ARG002
        """Columns computed from windows, priors and content, by name. Windows need not be repeated here.

        An age column is stored as the moment it counts from, in unix seconds; see `ages.moment_of`.
        """
        return {}
