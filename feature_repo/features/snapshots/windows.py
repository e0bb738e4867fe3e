"""Daily snapshots: the calendar of cuts, and activity counted over windows that end at a cut.

Owns when an event becomes known and how long a window remembers it. Everything is an Ibis expression without SQL of
one engine, so that DuckDB and Spark run the same code; reading and writing tables is the caller's. Refuses statistics
over whole periods: a snapshot of day d holds events before the cut of day d and nothing else.

Tables come with times as whole microseconds since 1970 in `time_us` (the engines differ in how they give those), and
days are numbered: day d ends at the d-th cut, and its snapshot is stamped with that cut.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pyarrow as pa

from feature_repo.dataset.split import DAY, Split
from feature_repo.dataset.tables import TIMESTAMP
from feature_repo.features.feature_set import WINDOWS

Table = Any  # ibis.Table: its columns are known only to the data, so that a type checker can say nothing about them
Column = Any

LONGEST_WINDOW = max(WINDOWS)
STATIC = "static_"  # before an owner's column, which may have the name of one that is counted here
FIXED_POINT = 1_000_000  # logs are summed as whole millionths: whole sums do not depend on the order of the rows


@dataclass(frozen=True)
class LogTables:
    """Prepared tables as Ibis tables, times as int64 microseconds.

    Attributes:
        interactions: With time_us.
        impressions: With time_us, see also `with_label_times`.
        items: With valid_from_us, created_at_us.
        users: With valid_from_us, signup_at_us.
    """

    interactions: Table
    impressions: Table
    items: Table
    users: Table


@dataclass(frozen=True)
class Calendar:
    """Numbered days and their cuts.

    Attributes:
        stamps: Ibis table of every day: day, stamp_us int64, and the same as event_timestamp, which Feast joins by.
        since: First day whose snapshot is wanted; windows look further back.
        last: The newest day, whose cut is the log's end.
        log_end_us: The log's end.
        step_us: Microseconds between cuts.
    """

    stamps: Table
    since: int
    last: int
    log_end_us: int
    step_us: float

    @classmethod
    def of(cls, split: Split, since: float | None = None) -> Calendar:
        """Days of a split; snapshots start at the latest cut that is not after `since` (default: `rank_start`)."""
        cuts = split.cuts()
        wanted = split.rank_start if since is None else since
        first = int(np.searchsorted(cuts, wanted, side="right")) - 1
        stamps = [round(split.stamp(float(cut)) * 1e6) for cut in cuts]
        table = pa.table(
            {
                "day": pa.array(range(len(cuts)), pa.int64()),
                "stamp_us": pa.array(stamps, pa.int64()),
                "event_timestamp": pa.array(stamps, TIMESTAMP),
            }
        )
        return cls(
            stamps=ibis.memtable(table),
            since=max(first, 0),
            last=len(cuts) - 1,
            log_end_us=round(split.log_end * 1e6),
            step_us=split.step * 1e6,
        )

    def steps(self, days: int) -> int:
        """Numbered days that a window of calendar days spans."""
        return max(round(days * DAY * 1e6 / self.step_us), 1)

    def with_day(self, events: Table) -> Table:
        """Adds the day at whose cut each event becomes known: the first whose cut is after it."""
        back = (ibis.greatest(self.log_end_us - events.time_us - 1, 0) / self.step_us).floor().cast("int64")
        placed = events.mutate(day=ibis.greatest(self.last - back, 0)).inner_join(
            self.stamps.select("day", "stamp_us"), "day"
        )
        late = (placed.time_us >= placed.stamp_us) & (placed.day < self.last)  # cuts are whole microseconds, steps not
        return placed.mutate(day=late.ifelse(placed.day + 1, placed.day)).drop("stamp_us")

    def day_from(self, moment_us: Column) -> Column:
        """First day whose cut is at or after a moment; null moments hold since ever."""
        back = ((self.log_end_us - moment_us) / self.step_us).floor().cast("int64")
        return ibis.greatest(self.last - back.fill_null(self.last), 0)


def with_label_times(
    shown: Table,
    events: Table,
    joined: Mapping[str, Sequence[str]],
    columns: Collection[str] = (),
    num_own: int = 0,
) -> Table:
    """Adds known_<objective>_us to impressions: when the event that a label was joined from happened.

    Args:
        shown: Impressions with time_us.
        events: Interactions with time_us.
        joined: Objective -> event types that fulfil it, of the objectives whose labels ingest joined through request
            and item. Labels that came as columns say no time and count as known at once; so do those of events that
            the row rules set aside.
        columns: Those of them whose labels came as columns in the dataset, and were joined in the served log only.
        num_own: Impressions whose `row` is below are the dataset's.
    """
    if not joined:
        return shown
    requested = events.filter(events.request_id.notnull())
    known = requested.group_by(_request="request_id", _item="item_id").agg(
        **{f"known_{name}_us": requested.time_us.min(where=requested.event_type.isin(joined[name])) for name in joined}
    )
    found = shown.left_join(known, [shown.request_id == known["_request"], shown.item_id == known["_item"]])
    moments = {name: found[f"known_{name}_us"].fill_null(found.time_us) for name in joined}
    for name in columns:
        moments[name] = (found.row < num_own).ifelse(found.time_us, moments[name])
    later = {f"known_{name}_us": ibis.greatest(moment, found.time_us) for name, moment in moments.items()}
    return found.drop("_request", "_item").mutate(**later)


def outcomes(shown: Table, objectives: Sequence[str], calendar: Calendar) -> Table:
    """Impressions and the labels that came true as events of their own, each on the day it became known.

    What was bought a week after it was shown is no fact of the day it was shown on.

    Returns:
        user_id, item_id, time_us, day, and 0 or 1: `shown`, and label_<objective> of each objective.
    """
    keys = ("user_id", "item_id")
    nothing = {name: ibis.literal(0, "int64") for name in ("shown", *(f"label_{name}" for name in objectives))}
    one = ibis.literal(1, "int64")
    parts = [shown.select(*keys, "time_us", **(nothing | {"shown": one}))]
    for name in objectives:
        true = shown.filter(shown[f"label_{name}"] == 1)
        moment = f"known_{name}_us" if f"known_{name}_us" in shown.columns else "time_us"
        parts.append(true.select(*keys, time_us=moment, **(nothing | {f"label_{name}": one})))
    return calendar.with_day(ibis.union(*parts))


def attributes(table: Table, key: str, calendar: Calendar) -> Table:
    """Histories as intervals: each row with the days [from_day, to_day) at which it is the one that counts.

    Of several rows with the same day the last by (valid_from, row) counts.
    """
    held = table.filter(table[key].notnull()).mutate(from_day=calendar.day_from(table.valid_from_us))
    held = held.filter(held.from_day <= calendar.last)
    order = ibis.window(group_by=key, order_by=[held.valid_from_us.fill_null(-(2**62)), held.row])
    following = held.mutate(to_day=held.from_day.lead(1).over(order).fill_null(calendar.last + 1))
    return following.filter(following.from_day < following.to_day)


def at_day(spine: Table, intervals: Table, key: str, columns: Iterable[str]) -> Table:
    """Adds to rows of (key, day) columns of the interval that holds on the day, null where none does.

    Args:
        spine: The rows.
        intervals: See `attributes`.
        key: The entity's column.
        columns: Columns of the intervals; each is added as `static_<name>`.
    """
    renamed = intervals.select("from_day", "to_day", _key=key, **{STATIC + name: intervals[name] for name in columns})
    joined = spine.left_join(
        renamed,
        [spine[key] == renamed["_key"], renamed.from_day <= spine.day, spine.day < renamed.to_day],
    )
    return joined.drop("_key", "from_day", "to_day")


def spine(
    key: str,
    activity: Sequence[Table],
    intervals: Table,
    sums: Sequence[str],
    calendar: Calendar,
    extremes: Mapping[str, str] | None = None,
) -> Table:
    """Rows of (key, day) over which windows run, `emit` where a snapshot row is wanted.

    Wanted are all days from `since` on while the longest window still holds an event, the first day (for whatever is
    known by then), every day at which a static row changes, and the newest day.

    Args:
        key: The entity's column.
        activity: Tables of (key, day, some of the sums and extremes), one row a key and day.
        intervals: Static rows, see `attributes`.
        sums: Columns to add up, absent ones count 0.
        calendar: The days.
        extremes: Column -> "min" or "max"; absent ones are null.

    Returns:
        key, day, emit, sums and extremes; one row a key and day.
    """
    extremes = extremes or {}
    rows = ibis.union(*[_padded(table, key, sums, extremes) for table in activity]) if len(activity) > 1 else None
    rows = _padded(activity[0], key, sums, extremes) if rows is None else rows
    wanted = _wanted(key, rows, intervals, calendar).mutate(emit=ibis.literal(1, "int64"))
    rows = ibis.union(
        rows.mutate(emit=ibis.literal(0, "int64")),
        _padded(wanted, key, sums, extremes, keep=("emit",)).select(*rows.columns, "emit"),
    )
    totals = {name: rows[name].sum() for name in sums}
    ends = {name: rows[name].min() if kind == "min" else rows[name].max() for name, kind in extremes.items()}
    return rows.group_by(key, "day").agg(emit=rows.emit.max(), **totals, **ends)


def over_days(column: Column, key: str, order: Column, steps: int | None) -> Column:
    """The sum of a column over the last `steps` days of its key (None: all so far), this one included."""
    if steps is None:
        return column.sum().over(ibis.cumulative_window(group_by=key, order_by=order))
    return column.sum().over(ibis.range_window(group_by=key, order_by=order, preceding=steps - 1, following=0))


def smoothed(hits: Column, trials: Column, prior: Column, strength: float) -> Column:
    """A rate drawn towards a prior as if that had been seen `strength` times; null where nothing is known yet."""
    return (hits + strength * prior) / (trials + strength)


def prior(daily: Table, hits: str, trials: str, name: str, calendar: Calendar) -> Table:
    """A global rate over the last 30 days at every day: (day, `name`), null where nothing was tried.

    Args:
        daily: (day, hits, trials), at most one row a day.
        hits: Column of what came out.
        trials: Column of what was tried.
        name: Column to make.
        calendar: The days.
    """
    days = calendar.stamps.left_join(daily, "day").select("day", hits, trials)
    last = ibis.range_window(order_by=days.day, preceding=calendar.steps(30) - 1, following=0)
    rate = days[hits].sum().over(last) / days[trials].sum().over(last).cast("float64").nullif(0.0)
    return days.select("day", **{name: rate})


def log_price_of(price: Column) -> Column:
    """log(1 + price) in fixed point, null where there is no price."""
    return ((ibis.greatest(price, 0.0) + 1.0).ln() * FIXED_POINT).round().cast("int64")


def finished(rows: Table, calendar: Calendar) -> Table:
    """Only the wanted rows from `since` on, stamped."""
    kept = rows.filter((rows.emit == 1) & (rows.day >= calendar.since))
    return kept.inner_join(calendar.stamps, "day")


def _wanted(key: str, rows: Table, intervals: Table, calendar: Calendar) -> Table:
    days = calendar.stamps.filter(calendar.stamps.day >= calendar.since).select("day")
    lives = rows.group_by(key).agg(first=rows.day.min(), final=rows.day.max())
    active = lives.inner_join(
        days, [days.day >= lives["first"], days.day <= lives["final"] + calendar.steps(LONGEST_WINDOW)]
    ).select(key, "day")
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
