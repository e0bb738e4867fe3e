"""Daily snapshots: the tables they are made of, and the calendar of cuts.

The calendar decides when an event becomes known. Everything in this folder and in the groups of users and items is an
Ibis expression without SQL of one engine, so that DuckDB and Spark run the same code; the caller reads and writes the
tables. There are no statistics over whole periods: a snapshot of day d holds events before the cut of day d and nothing
else.

Tables come with times as whole microseconds since 1970 in `time_us` (the engines differ in how they give those), and
days are numbered: day d ends at the d-th cut, and its snapshot is stamped with that cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pyarrow as pa

from feature_repo.dataset.split import DAY, Split
from feature_repo.dataset.tables import TIMESTAMP

Table = Any  # ibis.Table: its columns are known only to the data, so that a type checker can say nothing about them
Column = Any


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
