"""Daily sums of an entity: the rows over which windows run, and the rows that a snapshot keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import ibis

from feature_repo.features.feature_set import WINDOWS
from feature_repo.features.snapshots.calendar import Calendar, Table

LONGEST_WINDOW = max(WINDOWS)


def spine(
    key: str,
    activity: Sequence[Table],
    intervals: Table,
    sums: Sequence[str],
    calendar: Calendar,
    extremes: Mapping[str, str] | None = None,
    closely: Table | None = None,
) -> Table:
    """Rows of (key, day) over which windows run; `emit` marks the rows of the snapshot.

    A snapshot emits all days from `since` on which the longest window still holds an event. It also emits the first
    day (with all values known by then), every day on which a static row changes, and the newest day. After the
    last day of `closely`, only every `parts`-th cut counts.

    Args:
        key: Key column of the entity.
        activity: Tables of (key, day, some of the sums and extremes), one row per key and day.
        intervals: Static rows, see `attributes`.
        sums: Columns to add up; absent columns count as 0.
        calendar: The days.
        extremes: Column -> "min" or "max"; absent columns are null.
        closely: The key and `until`, the last day on which an entity is emitted at every cut; None for all days.

    Returns:
        key, day, emit, sums and extremes; one row per key and day.
    """
    extremes = extremes or {}
    rows = ibis.union(*[_padded(table, key, sums, extremes) for table in activity]) if len(activity) > 1 else None
    rows = _padded(activity[0], key, sums, extremes) if rows is None else rows
    wanted = _wanted(key, rows, intervals, calendar, closely).mutate(emit=ibis.literal(1, "int64"))
    rows = ibis.union(
        rows.mutate(emit=ibis.literal(0, "int64")),
        _padded(wanted, key, sums, extremes, keep=("emit",)).select(*rows.columns, "emit"),
    )
    totals = {name: rows[name].sum() for name in sums}
    ends = {name: rows[name].min() if kind == "min" else rows[name].max() for name, kind in extremes.items()}
    return rows.group_by(key, "day").agg(emit=rows.emit.max(), **totals, **ends)


def finished(rows: Table, calendar: Calendar) -> Table:
    """The emitted rows from `since` on, with their timestamp."""
    kept = rows.filter((rows.emit == 1) & (rows.day >= calendar.since))
    return kept.inner_join(calendar.stamps, "day")


def _wanted(key: str, rows: Table, intervals: Table, calendar: Calendar, closely: Table | None) -> Table:
    days = calendar.stamps.filter(calendar.stamps.day >= calendar.since).select("day")
    lives = rows.group_by(key).agg(first=rows.day.min(), final=rows.day.max())
    active = lives.inner_join(
        days, [days.day >= lives["first"], days.day <= lives["final"] + calendar.steps(LONGEST_WINDOW)]
    ).select(key, "day")
    if closely is not None:
        dated = active.left_join(closely, key)
        active = dated.filter(((calendar.last - dated.day) % calendar.parts == 0) | (dated.day <= dated.until))
        active = active.select(key, "day")
    ids = ibis.union(lives.filter(lives["first"] <= calendar.since).select(key), intervals.select(key))
    start = ids.filter(ids[key].notnull()).mutate(day=ibis.literal(calendar.since, "int64"))
    newest = ibis.union(lives.select(key), intervals.select(key)).mutate(day=ibis.literal(calendar.last, "int64"))
    changes = intervals.filter(intervals.from_day > calendar.since).select(key, day=intervals.from_day.cast("int64"))
    return ibis.union(active, start, newest, changes, distinct=True)


def _padded(
    table: Table, key: str, sums: Iterable[str], extremes: Mapping[str, str], keep: Sequence[str] = ()
) -> Table:
    columns = {
        name: table[name].cast("int64").fill_null(0) if name in table.columns else ibis.literal(0, "int64")
        for name in sums
    }
    ends = {name: table[name].cast("int64") if name in table.columns else ibis.null("int64") for name in extremes}
    return table.select(key, *keep, day=table.day.cast("int64"), **columns, **ends)
