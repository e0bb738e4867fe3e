"""The events of all users, from which histories and own items as of any past time are folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.features.folding import GradedEvents, fold, joined_states, no_state
from feature_repo.features.state import History, IntArray, OffsetArray, OwnItems
from inference.feature_store.state_columns import RowMap

EVENTS_AT_ONCE = 2_000_000  # bounds the memory of a fold: about 150 bytes an event

Int64Array = npt.NDArray[np.int64]


class PastEvents:
    """Positive and negative events, sorted by user, then time, then the log's order.

    Args:
        user_ids: Users with an event [u].
        offsets: [u + 1], user i has the entries `offsets[i]:offsets[i + 1]`.
        rows: Item rows [n].
        times: Unix microseconds [n].
        grades: Objective grade [n], 1 the weakest; -1 for a negative event.
    """

    def __init__(
        self,
        user_ids: Sequence[str],
        offsets: OffsetArray,
        rows: IntArray,
        times: Int64Array,
        grades: npt.NDArray[np.int8],
    ) -> None:
        self._user_of = {user_id: user for user, user_id in enumerate(user_ids)}
        self._offsets, self._rows, self._times, self._grades = offsets, rows, times, grades

    @classmethod
    def read(cls, path: Path, row_map: RowMap) -> Self:
        """Reads `FeaturesDirectory.events_file`; items that the row map lacks are left out."""
        table = pq.read_table(path)
        rows = pc.index_in(table["item_id"], value_set=pa.array(row_map.item_ids, pa.string()))
        known = pc.is_valid(rows)
        table, rows = table.filter(known), rows.filter(known)
        users = table["user_id"].combine_chunks().dictionary_encode()  # in order of appearance, so ascending codes
        codes = users.indices.to_numpy()
        return cls(
            user_ids=users.dictionary.to_pylist(),
            offsets=np.searchsorted(codes, np.arange(len(users.dictionary) + 1)).astype(np.int64),
            rows=rows.to_numpy().astype(np.int32),
            times=table["time_us"].to_numpy(),
            grades=table["grade"].to_numpy(),
        )

    def state(self, user_ids: Sequence[str], moments: Int64Array) -> tuple[History, OwnItems]:
        """History and own items of users [q] from their events strictly before the moments (microseconds) [q]."""
        found = (self._user_of.get(user_id, -1) for user_id in user_ids)
        users = np.fromiter(found, dtype=np.int64, count=len(user_ids))
        starts = np.where(users >= 0, self._offsets[users], 0)
        ends = np.where(users >= 0, self._offsets[users + 1], 0)
        lengths = _first_at_or_after(self._times, starts, ends, moments) - starts
        states = [self._folded(starts[part], lengths[part]) for part in _parts(lengths)]
        return joined_states(states) if states else no_state(0)

    def _folded(self, starts: Int64Array, lengths: Int64Array) -> tuple[History, OwnItems]:
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        at = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        events = GradedEvents(offsets, self._rows[at], self._grades[at], self._times[at] / 1e6)
        return fold(*no_state(len(lengths)), events)


def _first_at_or_after(times: Int64Array, starts: Int64Array, ends: Int64Array, moments: Int64Array) -> Int64Array:
    """The first position in starts[i]..ends[i] whose time is not before moments[i], else ends[i]: bisection of all."""
    low, high = starts.copy(), ends.copy()
    while (open_ := low < high).any():
        middle = (low + high) // 2
        earlier = open_ & (times[np.where(open_, middle, 0)] < moments)
        low = np.where(earlier, middle + 1, low)
        high = np.where(open_ & ~earlier, middle, high)
    return low


def _parts(lengths: Int64Array) -> Iterator[slice]:
    """Slices of users that hold about `EVENTS_AT_ONCE` events each."""
    part = np.cumsum(lengths) // EVENTS_AT_ONCE
    bounds = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(lengths)]
    for start, end in pairwise(bounds):
        if start < end:
            yield slice(start, end)
