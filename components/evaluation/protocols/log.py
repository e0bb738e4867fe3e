"""The clean interactions as integer columns, the only data that metrics and baselines read.

Defines the user and item codes of an evaluation, and cuts by time. Times are whole microseconds, so that an event on
the edge of a span always falls on the same side. This module does not depend on features, sources or networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from feature_repo.dataset.split import DAY_MICROSECONDS
from feature_repo.features.state import IntArray, OffsetArray

ObjectArray = npt.NDArray[np.object_]
Int64Array = npt.NDArray[np.int64]
MICROSECONDS = 1_000_000


def microseconds(seconds: float) -> int:
    """Unix seconds as whole microseconds."""
    return round(seconds * MICROSECONDS)


@dataclass(frozen=True, slots=True)
class Ragged:
    """A set of item rows per query: query i has `rows[offsets[i]:offsets[i + 1]]`, ascending and distinct."""

    offsets: OffsetArray
    rows: IntArray

    @classmethod
    def from_pairs(cls, owners: npt.NDArray[np.integer], rows: npt.NDArray[np.integer], num: int) -> Ragged:
        """Distinct (owner, row) pairs as sets of `num` owners; owners outside 0..num-1 are ignored."""
        inside = (owners >= 0) & (owners < num)
        width = int(rows.max(initial=0)) + 1
        keys = np.unique(owners[inside].astype(np.int64) * width + rows[inside])
        owner, row = np.divmod(keys, width)
        offsets = np.zeros(num + 1, dtype=np.int64)
        np.cumsum(np.bincount(owner, minlength=num), out=offsets[1:])
        return cls(offsets, row.astype(np.int32))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> Int64Array:
        """Size of every set [q]."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> Int64Array:
        """Query of each row [n]."""
        return np.repeat(np.arange(len(self)), self.counts)

    def union(self, other: Ragged) -> Ragged:
        """Union with the sets of the same queries in `other`."""
        owners, rows = np.concatenate([self.owners, other.owners]), np.concatenate([self.rows, other.rows])
        return Ragged.from_pairs(owners, rows, len(self))

    def without(self, other: Ragged) -> Ragged:
        """Difference from the sets of the same queries in `other`."""
        if not len(other.rows) or not len(self.rows):
            return self
        width = max(int(self.rows.max()), int(other.rows.max())) + 1
        return self.keep(~np.isin(self.owners * width + self.rows, other.owners * width + other.rows))

    def take(self, queries: npt.NDArray[np.integer]) -> Ragged:
        """The sets of the given queries, in the given order."""
        counts = self.counts[queries]
        offsets = np.zeros(len(queries) + 1, dtype=np.int64)
        np.cumsum(counts, out=offsets[1:])
        index = np.arange(offsets[-1]) + np.repeat(self.offsets[queries] - offsets[:-1], counts)
        return Ragged(offsets, self.rows[index])

    def keep(self, mask: npt.NDArray[np.bool_]) -> Ragged:
        """The sets restricted to the rows where `mask` [n] is true."""
        kept = np.zeros(len(mask) + 1, dtype=np.int64)
        np.cumsum(mask, out=kept[1:])
        return Ragged(kept[self.offsets], self.rows[mask])

    def contains(self, rows: IntArray) -> npt.NDArray[np.bool_]:
        """Whether each entry of `rows` [q, k] (or [1, k]) is in the set of its query [q, k]; False for -1."""
        found: npt.NDArray[np.bool_] = self.places(rows) >= 0
        return found

    def places(self, rows: IntArray) -> Int64Array:
        """Index into `self.rows` of each entry of `rows` [q, k] (or [1, k]) in the set of its query, or -1 [q, k]."""
        queries = np.arange(len(self), dtype=np.int64)[:, None]
        width = max(int(self.rows.max(initial=0)), int(rows.max(initial=0))) + 1
        keys = self.owners * width + self.rows
        wanted = queries * width + rows
        if not len(keys):
            return np.full(wanted.shape, -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where((keys[place] == wanted) & (rows >= 0), place, -1)


@dataclass(frozen=True, slots=True)
class EventLog:
    """Clean events in the tables' order (time, then file order).

    Attributes:
        user_ids: Every user of the whole log, sorted [u]; codes index it.
        item_ids: The row map [m].
        users: User codes [n].
        rows: Item rows [n].
        times: Unix microseconds [n].
        grades: -1 for negative, 0 for context, 1.. for objectives, weakest first [n].
    """

    user_ids: ObjectArray
    item_ids: ObjectArray
    users: IntArray
    rows: IntArray
    times: Int64Array
    grades: npt.NDArray[np.int8]

    @classmethod
    def from_table(cls, interactions: pa.Table, item_ids: ObjectArray) -> EventLog:
        """Reads a prepared interactions table.

        Args:
            interactions: Columns user_id, item_id, timestamp, grade, in the prepared order.
            item_ids: Row map that holds every item of the table.
        """
        user_column = interactions["user_id"].combine_chunks().cast(pa.string())
        user_ids = np.sort(pc.unique(user_column).to_numpy(zero_copy_only=False).astype(object))
        users = pc.index_in(user_column, value_set=pa.array(user_ids, pa.string()))
        item_column = interactions["item_id"].combine_chunks().cast(pa.string())
        rows = pc.index_in(item_column, value_set=pa.array(item_ids, pa.string()))
        if rows.null_count:
            raise ValueError(f"{rows.null_count} interactions name an item that the row map does not hold.")
        times = interactions["timestamp"].combine_chunks().cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        return cls(
            user_ids=user_ids,
            item_ids=item_ids,
            users=users.to_numpy(zero_copy_only=False).astype(np.int32),
            rows=rows.to_numpy(zero_copy_only=False).astype(np.int32),
            times=times.to_numpy(zero_copy_only=False).astype(np.int64),
            grades=interactions["grade"].combine_chunks().to_numpy(zero_copy_only=False).astype(np.int8),
        )

    def __len__(self) -> int:
        return len(self.users)

    def where(self, mask: npt.NDArray[np.bool_]) -> EventLog:
        """The events where `mask` [n] is true, with the same codes."""
        return EventLog(
            self.user_ids, self.item_ids, self.users[mask], self.rows[mask], self.times[mask], self.grades[mask]
        )

    def before(self, time: int) -> EventLog:
        """Events earlier than `time` (microseconds)."""
        return self.where(self.times < time)

    @property
    def positives(self) -> EventLog:
        """Events that fulfil an objective."""
        return self.where(self.grades > 0)

    def distinct(self) -> EventLog:
        """A single event for every user, item and time, so that several event types at once count as one visit."""
        order = np.lexsort((self.times, self.rows, self.users))
        columns = np.stack([self.users[order], self.rows[order], self.times[order]])
        first = np.ones(len(order), dtype=bool)
        first[1:] = (columns[:, 1:] != columns[:, :-1]).any(axis=0)
        mask = np.zeros(len(order), dtype=bool)
        mask[order[first]] = True
        return self.where(mask)

    def strength(self, half_life_days: float | None, now: int) -> sparse.csr_matrix:
        """Users x items log2(1 + decayed number of events), 1 for a single event at `now`; float32 CSR [u, m]."""
        summed = self.matrix(self.decay(half_life_days, now))
        summed.data = np.log2(1.0 + summed.data)
        return summed

    def matrix(self, weights: npt.NDArray[np.float64] | None = None) -> sparse.csr_matrix:
        """Users x items sums of `weights` [n] (1 per event by default), float32 CSR [u, m] with sorted indices."""
        values = np.ones(len(self)) if weights is None else weights
        shape = (len(self.user_ids), len(self.item_ids))
        summed = sparse.csr_matrix((values, (self.users, self.rows)), shape=shape, dtype=np.float64)
        summed.sum_duplicates()
        return summed.astype(np.float32)

    def decay(self, half_life_days: float | None, now: int) -> npt.NDArray[np.float64]:
        """Weight 2^(-age / half-life) of every event [n]; 1 without a half-life."""
        if half_life_days is None:
            return np.ones(len(self))
        age: npt.NDArray[np.float64] = np.exp2((self.times - now) / (half_life_days * DAY_MICROSECONDS))
        return age
