"""Number of users of an item and their share of repeats; every dataset has these columns."""

from __future__ import annotations

import ibis

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column, Table
from feature_repo.features.snapshots.expressions import smoothed

EVENT_STRENGTH = 5.0  # weight of a prior without repeats, in positive events


class AudienceGroup(SnapshotGroup):
    """Distinct users with a positive event in 30 days, and the share of events that are a user's second or later."""

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:  # noqa: ARG002
        return ("num_users_30d", "repeat_rate_30d")

    def event_sums(self, activity: Activity) -> dict[str, Column]:
        return {"positives": (activity.events.grade > 0).sum()}

    def daily(self, activity: Activity) -> tuple[Table, ...]:
        events = activity.events
        positive = events.filter((events.grade > 0) & events.user_id.notnull())
        before = ibis.window(group_by=["user_id", "item_id"], order_by=[positive.time_us, positive.row])
        again = positive.mutate(again=(ibis.row_number().over(before) > 0).cast("int64"))
        repeats = again.group_by("item_id", "day").agg(repeats=again.again.sum())
        return (repeats, _users_in_window(positive, activity.calendar.steps(30)))

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:  # noqa: ARG002
        return {
            "positives_30d": over.last("positives", 30),
            "repeats_30d": over.last("repeats", 30),
            "num_users_30d": over.total("users"),  # a sum of changes
        }

    def derived(self, rows: Table, activity: Activity) -> dict[str, Column]:  # noqa: ARG002
        return {"repeat_rate_30d": smoothed(rows.repeats_30d, rows.positives_30d, 0.0, EVENT_STRENGTH)}


def _users_in_window(positive: Table, steps: int) -> Table:
    """Changes in the number of distinct users over a window: +1 when a user enters the window, -1 when the user leaves.

    The intervals of a user overlap where two days are less than `steps` apart; overlapping intervals count once.
    """
    days = positive.select("item_id", "user_id", "day").distinct()
    order = ibis.window(group_by=["item_id", "user_id"], order_by=days.day)
    gaps = days.mutate(before=days.day.lag(1).over(order), after=days.day.lead(1).over(order))
    comes = gaps.filter(gaps.before.isnull() | (gaps.day - gaps.before >= steps))
    leaves = gaps.filter(gaps.after.isnull() | (gaps.after - gaps.day >= steps))
    changes = ibis.union(
        comes.select("item_id", "day", change=ibis.literal(1, "int64")),
        leaves.select("item_id", day=leaves.day + steps, change=ibis.literal(-1, "int64")),
    )
    return changes.group_by("item_id", "day").agg(users=changes.change.sum())
