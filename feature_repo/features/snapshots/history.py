"""Snapshots of user histories as arrays, at each change: the view `user_history`."""

from __future__ import annotations

import ibis

from feature_repo.features.feature_set import HISTORY_ARRAYS
from feature_repo.features.snapshots.calendar import Calendar, Column, LogTables, Table
from feature_repo.features.state import HISTORY_LENGTH


def user_history(log: LogTables, calendar: Calendar) -> Table:
    """The last events and all own items of every user with a positive or negative event, as of each day of a change.

    Returns:
        user_id, event_timestamp, and `HISTORY_ARRAYS`: history oldest first, own items by id, times in unix seconds.
    """
    interactions = log.interactions
    events = calendar.with_day(
        interactions.filter((interactions.grade != 0) & interactions.user_id.notnull()).select(
            "row", "user_id", "item_id", "grade", "time_us"
        )
    )
    changes = events.select(
        "user_id", at=ibis.greatest(events.day, calendar.since)
    ).distinct()  # changes before the first day become known on the first day
    rows = _own_items(events, changes).left_join(_last_events(events, changes), ["user_id", "at"])
    return rows.inner_join(calendar.stamps, rows["at"] == calendar.stamps.day).select(
        "user_id", "event_timestamp", *HISTORY_ARRAYS
    )


def _last_events(events: Table, changes: Table) -> Table:
    """The last positive events of each user at each change, as arrays, oldest first."""
    positive = events.filter(events.grade > 0)
    order = ibis.window(group_by="user_id", order_by=[positive.time_us, positive.row])
    numbered = positive.mutate(number=ibis.row_number().over(order))
    ends = numbered.group_by("user_id", "day").agg(end=numbered.number.max())
    known = changes.inner_join(ends, [changes.user_id == ends.user_id, ends.day <= changes["at"]])
    lengths = known.group_by("user_id", "at").agg(end=known.end.max())
    taken = lengths.inner_join(
        numbered,
        [
            lengths.user_id == numbered.user_id,
            numbered.number <= lengths.end,
            numbered.number > lengths.end - HISTORY_LENGTH,
        ],
    )
    return _collected(
        taken,
        "number",
        history_ids=taken.item_id,
        history_grades=taken.grade.cast("float64"),
        history_times=taken.time_us.cast("float64") / 1e6,
    )


def _own_items(events: Table, changes: Table) -> Table:
    """Every item of each user at each change, as arrays by item id."""
    daily = events.group_by("user_id", "item_id", "day").agg(
        count=(events.grade > 0).sum(),
        negatives=(events.grade < 0).sum(),
        grade=ibis.greatest(events.grade.max(), 0),
        first_us=events.time_us.min(),
        last_us=events.time_us.max(),
    )
    known = changes.inner_join(daily, [changes.user_id == daily.user_id, daily.day <= changes["at"]])
    own = known.group_by("user_id", "at", "item_id").agg(
        count=known["count"].sum(),
        negatives=known.negatives.sum(),
        grade=known.grade.max(),
        first_us=known.first_us.min(),
        last_us=known.last_us.max(),
    )
    return _collected(
        own,
        "item_id",
        own_ids=own.item_id,
        own_counts=own["count"].cast("float64"),
        own_negatives=own.negatives.cast("float64"),
        own_grades=own.grade.cast("float64"),
        own_first=own.first_us.cast("float64") / 1e6,
        own_last=own.last_us.cast("float64") / 1e6,
    )


def _collected(rows: Table, order: str, **columns: Column) -> Table:
    """One row a (user_id, at) with each column as an array, all in the same order.

    Entries are sorted as structs, by their first field, because Spark has no ordered aggregation.
    """
    entry = ibis.struct({"order": rows[order], **columns})
    entries = rows.group_by("user_id", "at").agg(entries=entry.collect()).mutate(entries=ibis._.entries.sort())
    return entries.select("user_id", "at", **{name: _field(entries.entries, name) for name in columns})


def _field(entries: Column, name: str) -> Column:
    return entries.map(lambda entry: entry[name])
