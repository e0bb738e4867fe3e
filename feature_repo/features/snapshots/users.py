"""Snapshots of users: activity and static columns as of each day, the view `user_stats`.

Ages are not stored: the snapshot holds the moments from which they are computed.
"""

from __future__ import annotations

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.snapshot_group import Activity
from feature_repo.features.groups.users import USER_GROUPS
from feature_repo.features.snapshots.assembly import snapshot_rows
from feature_repo.features.snapshots.calendar import Calendar, LogTables, Table
from feature_repo.features.snapshots.intervals import attributes
from feature_repo.features.snapshots.labels import outcomes


def user_stats(log: LogTables, calendar: Calendar, feature_set: FeatureSet) -> Table:
    """Windowed activity and static columns of every user on every emitted day.

    Returns:
        user_id, event_timestamp, the stored numeric columns, the moments of the ages (unix seconds) and the categorical
        columns as text; one row per user and emitted day.
    """
    interactions = log.interactions
    activity = Activity(
        key="user_id",
        events=calendar.with_day(interactions.filter(interactions.user_id.notnull() & interactions.item_id.notnull())),
        shown=outcomes(log.impressions, feature_set.objectives[:1], calendar),
        items=attributes(log.items, "item_id", calendar),
        calendar=calendar,
        feature_set=feature_set,
    )
    own = (*feature_set.user_categorical, *feature_set.user_extras)
    intervals = attributes(log.users, "user_id", calendar)
    rows = snapshot_rows(USER_GROUPS, feature_set.user_numeric, activity, intervals, own)
    ages = feature_set.user_ages
    return rows.select(
        "user_id",
        "event_timestamp",
        **{name: rows[name].cast("float32") for name in feature_set.user_numeric if name not in ages},
        **{moment: rows[moment].cast("float64") for moment in ages.values()},
        **{name: rows[name].cast("string") for name in feature_set.user_categorical},
    )
