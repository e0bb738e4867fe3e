"""Reads of the online store.

The reads use Feast's online store interface and pass the view. `get_online_features` resolves names in the registry and
assembles a response on every call: it takes four times as long, and the registry needs refreshing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt
from feast import FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from google.protobuf.message import DecodeError

from feature_repo.definitions import feature_objects
from feature_repo.errors import FeatureStoreError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.folding import fold
from feature_repo.features.state import ItemColumns, TimeArray, UserColumns
from feature_repo.storage.quoting import sqlite_uri
from inference.feature_store.freshness import KEY, Freshness
from inference.feature_store.live.opening import live_store
from inference.feature_store.live.record import graded_live
from inference.feature_store.popular_lists import DAMAGED, StoredList
from inference.feature_store.project import NEVER, StoreSettings, failures, num_evicted, num_keys, online_provider
from inference.feature_store.state_columns import (
    ItemRecords,
    RowMap,
    Strings,
    item_columns,
    stored_item_numbers,
    stored_item_texts,
    stored_state,
    user_columns,
)
from inference.feature_store.store_state import fault_of
from inference.feature_store.values import Record, entity_key, history_records, numbers_of, texts_of, user_records

NO_GRADES: Mapping[str, int] = MappingProxyType({})
READ_ROWS = 2_000  # keys per read of the item table


class FeatureReader(Protocol):
    """Reads state as of a time; implemented by the online and the historical store."""

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        """Returns the state of users as of their queries' times.

        Args:
            user_ids: Ids [q]; they may be unknown and may repeat.
            times: Unix seconds [q]. The online store holds only the newest state of each user; the times set the ages.

        Raises:
            FeatureStoreError: The store cannot be read.
        """
        ...

    def items(self, time: float) -> ItemColumns:
        """Returns the catalogue as of a time, aligned with the row map; the online store has only the newest.

        Raises:
            FeatureStoreError: The store cannot be read.
        """
        ...


class OnlineFeatures:
    """Reads users per request, and the item table in bulk, from the online store. Thread-safe.

    Args:
        feature_set: The materialised feature set; another set has other keys.
        item_ids: The row map [m].
        settings: Location of the features.
        event_grades: Event type -> grade, for live events; without grades, histories end at the snapshot.

    Raises:
        FeatureStoreError: The embedded store has not been filled for this stage and feature set.
    """

    def __init__(
        self,
        feature_set: FeatureSet,
        item_ids: npt.NDArray[np.object_],
        settings: StoreSettings,
        event_grades: Mapping[str, int] = NO_GRADES,
    ) -> None:
        file = settings.sqlite_file(feature_set)
        if not settings.redis and not file.is_file():
            raise FeatureStoreError(
                f"{file} is missing: the online store holds no features of stage {settings.stage!r} and feature set"
                f" {feature_set.hash}; materialise them first."
            )
        self._feature_set = feature_set
        self._row_map = RowMap(item_ids)
        self._config = settings.config(feature_set)
        self._provider = online_provider(self._config, settings)
        self._objects = feature_objects(feature_set, settings.directory)
        self._failures = failures(settings)
        self._grades = event_grades
        self._live = live_store(settings) if event_grades else None
        self._file = None if settings.redis else file
        self._inode = 0 if settings.redis else file.stat().st_ino

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        """See `FeatureReader.users`; the number of reads does not depend on the number of users.

        Live events that the snapshot of a user does not hold are folded into history and own items.
        """
        keys = [entity_key("user_id", user_id) for user_id in user_ids]
        stats = self._read(self._objects.user_stats, keys)
        answers = self._answers(self._objects.user_history, keys)
        state = stored_state(history_records([record for _, record in answers]), self._row_map)
        if self._live is not None:
            found, since = self._live.read(user_ids), [stamp for stamp, _ in answers]
            state = fold(*state, graded_live(found, since, state[1], times, self._grades, self._row_map))
        return user_columns(user_records(stats, self._feature_set), state, times, self._feature_set)

    def items(self, time: float) -> ItemColumns:
        """See `FeatureReader.items`."""
        return self.catalogue(time)[0]

    def catalogue(self, time: float) -> tuple[ItemColumns, npt.NDArray[np.bool_]]:
        """Returns the catalogue as `items` does, and whether the store has a row of each item [m].

        Raises:
            FeatureStoreError: The store cannot be read.
        """
        names = stored_item_numbers(self._feature_set), stored_item_texts(self._feature_set)
        numbers: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in names[0]}
        texts: dict[str, list[Strings]] = {name: [] for name in names[1]}
        item_ids = self._row_map.item_ids
        held: list[bool] = []
        for start in range(0, len(item_ids), READ_ROWS):
            keys = [entity_key("item_id", item_id) for item_id in item_ids[start : start + READ_ROWS]]
            records = self._read(self._objects.item_stats, keys)
            held.extend(record is not None for record in records)
            for name, parts in numbers.items():
                parts.append(numbers_of(records, name))
            for name, found in texts.items():
                found.append(texts_of(records, name))
        record = ItemRecords(
            numbers={name: np.concatenate(parts) for name, parts in numbers.items()},
            texts={name: np.concatenate(found) for name, found in texts.items()},
        )
        return item_columns(record, time, self._feature_set, self._row_map), np.array(held, dtype=np.bool_)

    def fault(self, marker: Freshness | None, held: Freshness | None) -> str:
        """Returns what is wrong with the store as a whole, "" if nothing is.

        Args:
            marker: The record that `freshness` returned.
            held: The record of the catalogue in use, None for the snapshot of the bundle.

        Raises:
            FeatureStoreError: The store cannot be read.
        """
        if self._file is not None:
            return fault_of(marker, held, None, 0)
        try:
            return fault_of(marker, held, num_keys(self._provider), num_evicted(self._provider))
        except self._failures as error:
            raise FeatureStoreError(f"The keys of the online store cannot be counted: {error}.") from error

    def freshness(self) -> Freshness | None:
        """Returns when the stored values were computed and their time; None if there is no record.

        Raises:
            FeatureStoreError: The store cannot be read.
        """
        if not self._has_table(self._objects.freshness):
            return None
        return Freshness.of(self._read(self._objects.freshness, [KEY]))

    def popular_list(self, version: str) -> StoredList:
        """Returns the popular list that a refresh wrote for a bundle.

        Args:
            version: Version of the bundle, whose row map the reader has.

        Raises:
            FeatureStoreError: The store cannot be read.
        """
        if not self._has_table(self._objects.popularity):
            return StoredList()
        try:
            record = self._read(self._objects.popularity, [KEY])[0]
        except DecodeError:
            return StoredList(fault=DAMAGED)
        return StoredList.of(record, version, self._row_map.item_ids)

    def _has_table(self, view: FeatureView) -> bool:
        """Returns whether the store can hold records of a view; an embedded store of older code may lack the table."""
        if self._file is None:
            return True
        try:
            with closing(sqlite3.connect(sqlite_uri(self._file, "ro"), uri=True)) as connection:
                query = "SELECT count(*) FROM sqlite_master WHERE name = ?"
                return bool(connection.execute(query, [f"{self._config.project}_{view.name}"]).fetchone()[0])
        except sqlite3.Error as error:
            raise FeatureStoreError(f"The online store cannot be read ({self._file}): {error}.") from error

    def _read(self, view: FeatureView, keys: list[EntityKey]) -> list[Record | None]:
        return [record for _, record in self._answers(view, keys)]

    def _answers(self, view: FeatureView, keys: list[EntityKey]) -> list[tuple[datetime, Record | None]]:
        """The time of the snapshot and the record of each key; `NEVER` and None for an unknown key."""
        names = [field.name for field in view.features]
        try:
            if self._file is not None and self._file.stat().st_ino != self._inode:
                raise OSError(f"{self._file} was replaced")  # the open connection would read the old file
            answers = self._provider.online_read(self._config, view, keys, names)
        except self._failures as error:
            raise FeatureStoreError(f"The online store cannot be read ({view.name}): {error}.") from error
        # For an unknown key SQLite returns no timestamp, and Redis returns 1970.
        return [(stamp, record) if stamp is not None and stamp > NEVER else (NEVER, None) for stamp, record in answers]
