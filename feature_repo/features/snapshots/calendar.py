"""Input tables of snapshots, and the calendar of cuts.

The calendar decides when an event becomes known. This folder and the groups of users and items contain only Ibis
expressions without engine-specific SQL, so that DuckDB and Spark run the same code. The caller reads and writes the
tables. No statistic covers a whole period: a snapshot of day d depends only on events before the cut of day d.

Times in the tables are whole microseconds since 1970 in `time_us`, because engines return timestamps differently. Days
are numbered: day d ends at the d-th cut, and its snapshot has the timestamp of that cut. They are shorter than calendar
days where cuts are closer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.dataset.split import DAY, Split
from feature_repo.dataset.tables import TIMESTAMP

Table = Any  # ibis.Table: only the data define its columns, so a type checker cannot check them
Column = Any


@dataclass(frozen=True)
class LogTables:
    """Prepared tables as Ibis tables, times as int64 microseconds.

    Attributes:
        interactions: Table with time_us.
        impressions: Table with time_us, see also `with_label_times`.
        items: Table with valid_from_us, created_at_us.
        users: Table with valid_from_us, signup_at_us.
    """

    interactions: Table
    impressions: Table
    items: Table
    users: Table


@dataclass(frozen=True)
class Calendar:
    """Numbered days and their cuts.

    Attributes:
        stamps: Ibis table of all days: day, stamp_us int64, and event_timestamp (the same time), which Feast reads.
        since: First day of the snapshots; windows look further back.
        last: The newest day, whose cut is the log's end.
        log_end_us: The log's end.
        step_us: Microseconds between cuts.
        parts: Cuts from one that every entity may need a row at to the next, see `spine`; the last cut is such a cut.
    """

    stamps: Table
    since: int
    last: int
    log_end_us: int
    step_us: float
    parts: int = 1

    @classmethod
    def of(cls, split: Split, since: float | None = None) -> Calendar:
        """Days of a split; snapshots start at the latest cut that is not after `since` (default: `rank_start`)."""
        return cls._of(split, split.cuts(), split.step, split.parts, since)

    @classmethod
    def of_users(cls, split: Split, since: float | None = None) -> Calendar:
        """The days of users, whose snapshots may be further apart than those of items; else as `of`."""
        return cls._of(split, split.user_cuts(), split.user_step, 1, since)

    @classmethod
    def _of(cls, split: Split, cuts: npt.NDArray[np.float64], step: float, parts: int, since: float | None) -> Calendar:
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
            step_us=step * 1e6,
            parts=parts,
        )

    def steps(self, days: float) -> int:
        """Number of numbered days in a window of calendar days."""
        return max(round(days * DAY * 1e6 / self.step_us), 1)

    def with_day(self, events: Table) -> Table:
        """Adds the day at whose cut each event becomes known: the first day whose cut is after the event."""
        back = (ibis.greatest(self.log_end_us - events.time_us - 1, 0) / self.step_us).floor().cast("int64")
        placed = events.mutate(day=ibis.greatest(self.last - back, 0)).inner_join(
            self.stamps.select("day", "stamp_us"), "day"
        )
        late = (placed.time_us >= placed.stamp_us) & (placed.day < self.last)  # cuts are whole microseconds, steps not
        return placed.mutate(day=late.ifelse(placed.day + 1, placed.day)).drop("stamp_us")

    def day_from(self, moment_us: Column) -> Column:
        """First day whose cut is at or after a moment; a null moment holds for all days."""
        back = ((self.log_end_us - moment_us) / self.step_us).floor().cast("int64")
        return ibis.greatest(self.last - back.fill_null(self.last), 0)
