"""The positive events of a log as arrays, with the history of each user as of any cell of time.

A cell runs from one snapshot of the users to the next. A query knows the latest snapshot, so its history ends where
its cell begins, in training as in serving. Events of the same cell or later never enter the history; that would be
leakage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.dataset.repeats import least_ruled_out
from feature_repo.dataset.split import Split
from feature_repo.dataset.tables import PreparedTables, unix_seconds
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import HISTORY_LENGTH, History, IntArray, OffsetArray, TimeArray

IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cells:
    """The grid of the users' cuts: cell i runs from `start + i * step` to `start + (i + 1) * step`."""

    start: float
    step: float
    count: int

    @classmethod
    def of(cls, split: Split) -> Cells:
        """The grid whose last cell ends at the log's end."""
        count = max(math.ceil((split.log_end - split.log_start) / split.user_step - 1e-9), 1)
        return cls(split.log_end - count * split.user_step, split.user_step, count)

    def at(self, times: TimeArray) -> IndexArray:
        """Cell of each time [n]; the log's end belongs to the last cell."""
        cells = np.floor((times - self.start) / self.step + 1e-9).astype(np.int64)
        return np.clip(cells, 0, self.count - 1)

    def cell_from(self, cut: float) -> int:
        """The cell that begins at a cut (events of earlier cells are known then); `count` for the log's end."""
        return round((cut - self.start) / self.step)

    def begin(self, cell: int) -> float:
        """Unix seconds of the cut at which a cell begins."""
        return self.start + cell * self.step


@dataclass(frozen=True, slots=True)
class PositiveLog:
    """Positive events sorted by user, then time.

    Attributes:
        user_ids: Users with a positive event [u], sorted.
        offsets: [u + 1], user i has the events `offsets[i]:offsets[i + 1]`.
        users: User of each event [n].
        rows: Item row [n].
        times: Unix seconds [n].
        grades: Objective grade, at least 1 [n].
        cells: Cell of the event's time [n].
        request: Codes of the request columns [n, columns].
        num_grades: Number of objectives.
        grid: The cells.
    """

    user_ids: npt.NDArray[np.object_]
    offsets: OffsetArray
    users: IntArray
    rows: IntArray
    times: TimeArray
    grades: npt.NDArray[np.int8]
    cells: IntArray
    request: IntArray
    num_grades: int
    grid: Cells

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def read(
        cls, tables: PreparedTables, feature_set: FeatureSet, item_ids: npt.NDArray[np.object_], until: float
    ) -> PositiveLog:
        """Reads the positive events before `until`; all events if `until` is the log's end or later.

        Args:
            tables: Prepared tables.
            feature_set: Names and vocabularies of the request columns.
            item_ids: The row map [m], sorted.
            until: Unix seconds.
        """
        columns = ["user_id", "item_id", "timestamp", "grade", *feature_set.request_categorical]
        table = tables.read("interactions", columns)
        table = table.filter(pc.greater(table["grade"], 0))
        times = unix_seconds(table["timestamp"])
        inside = before(times, until, tables.split)
        table, times = table.filter(pa.array(inside)), times[inside]
        user_ids = np.array(sorted(pc.unique(table["user_id"]).to_pylist()), dtype=object)
        users = codes_of(table["user_id"], user_ids) - 1
        order = np.lexsort((np.arange(len(times)), times, users))
        users, times = users[order], times[order]
        grid = Cells.of(tables.split)
        request = [codes_of(table[name], feature_set.vocabularies[f"request.{name}"]) for name in columns[4:]]
        return cls(
            user_ids=user_ids,
            offsets=np.searchsorted(users, np.arange(len(user_ids) + 1)).astype(np.int64),
            users=users,
            rows=(codes_of(table["item_id"], item_ids) - 1)[order],
            times=times,
            grades=table["grade"].to_numpy()[order].astype(np.int8),
            cells=grid.at(times).astype(np.int32),
            request=np.stack(request, axis=1)[order] if request else np.zeros((len(users), 0), dtype=np.int32),
            num_grades=len(feature_set.objectives),
            grid=grid,
        )

    def known_at(self, users: IntArray, cells: IntArray | IndexArray) -> IndexArray:
        """Position after each user's [q] last event before the given cell [q]."""
        base = self.grid.count + 1
        keys = self.users.astype(np.int64) * base + self.cells
        return np.searchsorted(keys, users.astype(np.int64) * base + cells)

    def position_at(self, users: IntArray, times: TimeArray) -> IndexArray:
        """Position after each user's [q] last event before the given time [q]."""
        low, high = self.offsets[users].copy(), self.offsets[users + 1].copy()
        while (open_ := low < high).any():
            middle = (low + high) // 2
            earlier = self.times[np.minimum(middle, len(self) - 1)] < times
            low = np.where(open_ & earlier, middle + 1, low)
            high = np.where(open_ & ~earlier, middle, high)
        return low

    def histories(self, users: IntArray, ends: IndexArray) -> History:
        """Histories of users [q]: their last events before the positions `ends` [q]."""
        starts = np.maximum(self.offsets[users], ends - HISTORY_LENGTH)
        lengths = ends - starts
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        at, _ = ragged(starts, lengths)
        return History(offsets=offsets, rows=self.rows[at], grades=self.grades[at], times=self.times[at])

    def ruled_out(self, repeats: str, before: float) -> tuple[IntArray, IntArray]:
        """Users and item rows of the pairs that `repeats` excludes, given the events before a time."""
        kept = (self.times < before) & (self.grades >= least_ruled_out(repeats, self.num_grades))
        return self.users[kept], self.rows[kept]


def before(times: TimeArray, until: float, split: Split) -> npt.NDArray[np.bool_]:
    """Which events are known as of a cut [n]: earlier events; at the log's end also events at that time."""
    return times <= until if until >= split.log_end else times < until


def ragged(starts: IndexArray, lengths: IndexArray) -> tuple[IndexArray, IndexArray]:
    """The concatenated positions starts[i] .. starts[i] + lengths[i] - 1 of all i, and the i of each position."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    return np.arange(len(owner)) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths), owner


def codes_of(column: pa.Array | pa.ChunkedArray, values: Sequence[str] | npt.NDArray[np.object_]) -> IntArray:
    """Index of each text in `values`, counted from 1; 0 for null and unknown texts."""
    places = pc.index_in(column, value_set=pa.array(values, type=pa.string()))
    codes = pc.fill_null(pc.add(places, 1), 0)
    return np.asarray(codes).astype(np.int32)
