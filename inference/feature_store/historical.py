"""Reads the state of users and items as of any past time, for training rows and evaluation.

Histories and own items end at the query: they are folded from all earlier events. The other values are those of the
latest snapshot. Decides which point-in-time joins run and which results are cached. It is too slow for requests: a join
takes a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.definitions import TIMESTAMP_FIELD
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import ItemColumns, TimeArray, UserColumns
from feature_repo.progress import track
from inference.feature_store import PointInTimeJoin
from inference.feature_store.past.events import PastEvents
from inference.feature_store.state_columns import (
    ItemRecords,
    RowMap,
    UserRecords,
    item_columns,
    stored_item_numbers,
    stored_item_texts,
    stored_user_numbers,
    user_columns,
)

JOIN_ROWS = 20_000  # entity rows per join; each is joined with all earlier snapshots of its entity
MAX_CACHED_CELLS = 50_000_000  # values of item tables in memory, 4 bytes each
ALWAYS_STORED = "num_positive_total"  # a column of `user_stats` that is never null


class HistoricalFeatures:
    """A `FeatureReader` of the past; see `inference.feature_store`.

    Snapshots change only at their timestamps (stamps), so each query time is replaced by the latest stamp before it;
    users may have fewer stamps than items. Only distinct (user, stamp) and (item, stamp) pairs are joined. `prefetch`
    joins the pairs of many queries at once; without it every call runs a join.

    Args:
        features_dir: See `FeaturesDirectory`.
    """

    def __init__(self, features_dir: Path) -> None:
        directory = FeaturesDirectory(features_dir)
        self._feature_set = directory.feature_set()
        self._row_map = RowMap(directory.item_ids())
        self._join = PointInTimeJoin(directory.snapshots, self._feature_set)
        self._events = PastEvents.read(directory.events_file, self._row_map)
        self._user_stamps = _stamps(directory.snapshots, "user_stats")
        self._stamps = np.union1d(self._user_stamps, _stamps(directory.snapshots, "item_stats"))
        self._announced: frozenset[int] = frozenset()
        self._unknown_users = _JoinedUsers(_no_users(directory.snapshots), {})
        self._users = self._unknown_users
        self._catalogues: dict[int, ItemColumns] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._join.close()

    def prefetch(self, user_ids: Sequence[str], times: TimeArray) -> None:
        """Joins the users' state for all of these queries at once; `items` later joins their stamps in blocks."""
        self._users = self._join_users(user_ids, _stamp_before(times, self._user_stamps))
        self._announced = frozenset(np.unique(_stamp_before(times, self._stamps)).tolist())

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        """See `FeatureReader.users`."""
        stamps = _stamp_before(times, self._user_stamps)
        joined = self._users if self._users.holds(user_ids, stamps) else self._join_users(user_ids, stamps)
        records = _table_user_records(joined.take(user_ids, stamps), self._feature_set)
        state = self._events.state(user_ids, _microseconds(times))
        return user_columns(records, state, times, self._feature_set)

    def items(self, time: float) -> ItemColumns:
        """See `FeatureReader.items`; ages end at that snapshot, and `assemble` extends them to each query's time."""
        stamp = int(_stamp_before(np.array([time]), self._stamps)[0])
        if stamp not in self._catalogues:
            self._join_catalogues(stamp)
        return self._catalogues[stamp]

    def _join_users(self, user_ids: Sequence[str], stamps: npt.NDArray[np.int64]) -> _JoinedUsers:
        pairs = sorted(dict.fromkeys(zip(user_ids, stamps.tolist(), strict=True)))
        parts = []
        starts = range(0, len(pairs), JOIN_ROWS)
        for start in track(starts, "joining user features") if len(starts) > 1 else starts:
            chunk = pairs[start : start + JOIN_ROWS]
            names = [user_id for user_id, _ in chunk]
            parts.append(self._join.users(names, np.array([stamp for _, stamp in chunk], dtype=np.int64)))
        if not parts:
            return self._unknown_users
        return _JoinedUsers(pa.concat_tables(parts), {pair: row for row, pair in enumerate(pairs)})

    def _join_catalogues(self, stamp: int) -> None:
        """Joins the catalogue of a stamp, and of the prefetched stamps after it, up to `JOIN_ROWS` rows."""
        item_ids = self._row_map.item_ids.tolist()
        width = len(self._feature_set.item_numeric) + len(self._feature_set.item_categorical)
        kept = max(MAX_CACHED_CELLS // (len(item_ids) * width), 1)
        following = sorted(other for other in self._announced if other > stamp and other not in self._catalogues)
        block = [stamp, *following[: max(min(JOIN_ROWS // len(item_ids), kept) - 1, 0)]]
        while self._catalogues and len(self._catalogues) + len(block) > kept:
            del self._catalogues[next(iter(self._catalogues))]
        parts = [
            self._join_items(item_ids[start : start + JOIN_ROWS], block) for start in range(0, len(item_ids), JOIN_ROWS)
        ]
        for place, joined in enumerate(block):
            table = pa.concat_tables([part[place] for part in parts])
            self._catalogues[joined] = item_columns(
                _table_item_records(table, self._feature_set), joined / 1e6, self._feature_set, self._row_map
            )

    def _join_items(self, item_ids: list[str], block: list[int]) -> list[pa.Table]:
        table = self._join.items(item_ids * len(block), np.repeat(np.array(block, dtype=np.int64), len(item_ids)))
        return [table.slice(place * len(item_ids), len(item_ids)) for place in range(len(block))]


class _JoinedUsers:
    """The joined rows of (user, stamp) pairs."""

    def __init__(self, table: pa.Table, row_of: Mapping[tuple[str, int], int]) -> None:
        self._table = table
        self._row_of = row_of

    def holds(self, user_ids: Sequence[str], stamps: npt.NDArray[np.int64]) -> bool:
        return all(pair in self._row_of for pair in zip(user_ids, stamps.tolist(), strict=True))

    def take(self, user_ids: Sequence[str], stamps: npt.NDArray[np.int64]) -> pa.Table:
        rows = [self._row_of[pair] for pair in zip(user_ids, stamps.tolist(), strict=True)]
        return self._table.take(pa.array(rows, pa.int64()))


def _stamps(snapshots: Path, view: str) -> npt.NDArray[np.int64]:
    """Returns the times of a view's snapshots, microseconds, ascending."""
    column = pq.read_table(snapshots / f"{view}.parquet", columns=[TIMESTAMP_FIELD])[TIMESTAMP_FIELD]
    return np.sort(pc.unique(column).cast(pa.int64()).to_numpy())


def _stamp_before(times: TimeArray, stamps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Returns the latest stamp up to each time, microseconds; the time itself if there is no earlier stamp."""
    moments = _microseconds(times)
    place = np.searchsorted(stamps, moments, side="right") - 1
    return np.where(place >= 0, stamps[place], moments) if len(stamps) else moments


def _no_users(snapshots: Path) -> pa.Table:
    """Returns the empty table of a join without users."""
    return pq.read_schema(snapshots / "user_stats.parquet").empty_table()


def _table_user_records(table: pa.Table, feature_set: FeatureSet) -> UserRecords:
    return UserRecords(
        known=pc.is_valid(table[ALWAYS_STORED]).to_numpy(),
        numbers={name: _numbers(table[name]) for name in stored_user_numbers(feature_set)},
        texts={name: _texts(table[name]) for name in feature_set.user_categorical},
    )


def _table_item_records(table: pa.Table, feature_set: FeatureSet) -> ItemRecords:
    return ItemRecords(
        numbers={name: _numbers(table[name]) for name in stored_item_numbers(feature_set)},
        texts={name: _texts(table[name]) for name in stored_item_texts(feature_set)},
    )


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _texts(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    return np.array(column.to_pylist(), dtype=object)


def _microseconds(times: TimeArray) -> npt.NDArray[np.int64]:
    return np.round(np.asarray(times) * 1e6).astype(np.int64)
