"""Content of entities as intervals of days, and its columns as of a day."""

from __future__ import annotations

from collections.abc import Iterable

import ibis

from feature_repo.features.snapshots.calendar import Calendar, Table

STATIC = "static_"  # prefix of an owner's column, which may have the name of a computed column


def attributes(table: Table, key: str, calendar: Calendar) -> Table:
    """Histories as intervals: each row with the days [from_day, to_day) on which it is valid.

    Of several rows with the same day the last by (valid_from, row) is valid.
    """
    held = table.filter(table[key].notnull()).mutate(from_day=calendar.day_from(table.valid_from_us))
    held = held.filter(held.from_day <= calendar.last)
    order = ibis.window(group_by=key, order_by=[held.valid_from_us.fill_null(-(2**62)), held.row])
    following = held.mutate(to_day=held.from_day.lead(1).over(order).fill_null(calendar.last + 1))
    return following.filter(following.from_day < following.to_day)


def at_day(spine: Table, intervals: Table, key: str, columns: Iterable[str]) -> Table:
    """Adds columns of the interval that is valid on the day to rows of (key, day); null without a valid interval.

    Args:
        spine: The rows.
        intervals: Intervals from `attributes`.
        key: Key column of the entity.
        columns: Columns of the intervals; each is added as `static_<name>`.
    """
    renamed = intervals.select("from_day", "to_day", _key=key, **{STATIC + name: intervals[name] for name in columns})
    joined = spine.left_join(
        renamed,
        [spine[key] == renamed["_key"], renamed.from_day <= spine.day, spine.day < renamed.to_day],
    )
    return joined.drop("_key", "from_day", "to_day")
