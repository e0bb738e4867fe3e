"""Snapshots of items: activity, rates and content as of each day, the view `item_stats`.

Ages are not stored: the snapshot holds the moments from which they are computed.
"""

from __future__ import annotations

from feature_repo.features.feature_set import ITEM_FACTS, FeatureSet
from feature_repo.features.groups.items import ITEM_GROUPS
from feature_repo.features.groups.snapshot_group import Activity
from feature_repo.features.snapshots.assembly import snapshot_rows
from feature_repo.features.snapshots.calendar import Calendar, LogTables, Table
from feature_repo.features.snapshots.intervals import attributes
from feature_repo.features.snapshots.labels import outcomes


def item_stats(log: LogTables, calendar: Calendar, feature_set: FeatureSet) -> Table:
    """Windowed activity, smoothed rates and content of every item on every emitted day.

    Returns:
        item_id, event_timestamp, the stored numeric columns, `ITEM_FACTS` (created_at: the earlier of
        creation and first event, unix seconds) and the categorical columns as text; one row per item and emitted day.
    """
    items = attributes(log.items, "item_id", calendar)
    activity = Activity(
        key="item_id",
        events=calendar.with_day(log.interactions.filter(log.interactions.item_id.notnull())),
        shown=outcomes(log.impressions, feature_set.objectives, calendar),
        items=items,
        calendar=calendar,
        feature_set=feature_set,
    )
    own = (*feature_set.item_categorical, *feature_set.item_extras)
    rows = snapshot_rows(ITEM_GROUPS, feature_set.item_numeric, activity, items, own)
    stored = [name for name in feature_set.item_numeric if name not in feature_set.item_ages]
    return rows.select(
        "item_id",
        "event_timestamp",
        **{name: rows[name].cast("float32") for name in stored},
        **{name: rows[name].cast(kind) for name, kind in ITEM_FACTS.items() if name not in stored},
        **{name: rows[name].cast("string") for name in feature_set.item_categorical},
    )
