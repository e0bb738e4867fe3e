"""Computes the rows of a snapshot from the groups of an entity; see `groups.snapshot_group`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import ibis

from feature_repo.dataset.split import DAY, HOUR
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.snapshots.calendar import Column, Table
from feature_repo.features.snapshots.intervals import STATIC, at_day
from feature_repo.features.snapshots.spine import finished, spine

Made = TypeVar("Made")


def snapshot_rows(
    groups: Sequence[SnapshotGroup], names: Sequence[str], activity: Activity, intervals: Table, own: Iterable[str]
) -> Table:
    """Rows of a snapshot with all columns that the groups derive.

    Args:
        groups: All groups of the entity; groups without a wanted column are left out.
        names: Numeric columns of the feature set.
        activity: The activity of the entities.
        intervals: The entity's own table as intervals.
        own: Columns of that table that are stored unchanged.

    Returns:
        The key, day, event_timestamp, windows, derived columns and `own`; one row per key and emitted day.
    """
    key, calendar = activity.key, activity.calendar
    active = active_groups(groups, names, activity.objectives, activity.feature_set.item_windows)
    for group in active:
        activity = replace(activity, events=group.marked(activity))
    daily = [
        _by_day(activity.events, key, _merged(active, lambda group: group.event_sums(activity))),
        _by_day(activity.shown, key, _merged(active, lambda group: group.impression_sums(activity))),
        *(table for group in active for table in group.daily(activity)),
    ]
    extremes = _merged(active, lambda group: group.extremes)
    sums = dict.fromkeys(name for table in daily for name in table.columns)
    sums = {name: None for name in sums if name not in (key, "day", *extremes)}
    closely = _closely(activity, daily[:2]) if calendar.parts > 1 else None
    rows = spine(key, daily, intervals, tuple(sums), calendar, extremes, closely)
    over = Windows(rows, key, calendar)
    rows = rows.mutate(**_merged(active, lambda group: group.windows(over, activity.feature_set)))
    rows = finished(rows, calendar)
    for prior in _merged(active, lambda group: group.priors(activity)).values():
        rows = rows.inner_join(prior, "day")
    content = dict.fromkeys((*(name for group in active for name in group.content), *own))
    rows = at_day(rows, intervals, key, content)
    for group in active:
        rows = group.joined(rows, activity)
    derived = _merged(active, lambda group: group.derived(rows, activity))
    return rows.mutate(**({name: rows[STATIC + name] for name in own} | derived))


def active_groups(
    groups: Sequence[SnapshotGroup],
    names: Sequence[str],
    objectives: tuple[str, ...],
    item_windows: tuple[int, ...] = (),
) -> list[SnapshotGroup]:
    """Groups with a column among the names, and groups whose columns are always stored."""
    complete = DatasetFacts.complete(objectives, item_windows)
    return [group for group in groups if group.stored or not set(names).isdisjoint(group.columns(complete))]


def _merged(groups: Iterable[SnapshotGroup], made: Callable[[SnapshotGroup], Mapping[str, Made]]) -> dict[str, Made]:
    """Results of all groups by name; of equal definitions the first is used."""
    merged: dict[str, Made] = {}
    for group in groups:
        merged = {**made(group), **merged}
    return merged


def _closely(activity: Activity, moved: Sequence[Table]) -> Table:
    """The last day on which an hourly window of an entity holds an event or impression: key, until."""
    key, calendar = activity.key, activity.calendar
    days = ibis.union(*[table.select(key, day=table.day.cast("int64")) for table in moved])
    longest = max(activity.feature_set.item_windows, default=0) * HOUR / DAY
    return days.group_by(key).agg(until=days.day.max() + calendar.steps(longest))


def _by_day(events: Table, key: str, sums: Mapping[str, Column]) -> Table:
    """The sums, one row per key and day; the rows do not depend on the sums."""
    return events.group_by(key, "day").agg(**sums) if sums else events.select(key, "day").distinct()
