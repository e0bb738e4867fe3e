"""The one adapter to Feast: what is known of users and items at a time, as columns.

Owns reading (online and historical) and filling of the feature store. Refuses Feast types beyond its edge: what
leaves are `UserColumns` and `ItemColumns`, in integer rows of the row map.

Online reads go to Feast's online store interface with the view at hand, not through `get_online_features`, which
resolves names in the registry and assembles a response on every call: that takes four times as long, and a registry
has to be refreshed.
"""

from __future__ import annotations

import atexit
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from feast import FeatureStore, FeatureView, RepoConfig
from feast.data_source import DataSource
from feast.infra.provider import Provider, get_provider
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import DoubleList, StringList, Value

from feature_repo.definitions import TIMESTAMP_FIELD, FeatureObjects, feature_objects, project_name
from feature_repo.errors import FeatureStoreError
from feature_repo.feature_set import HISTORY_ARRAYS, FeatureSet
from feature_repo.features_directory import FeaturesDirectory
from feature_repo.progress import track
from feature_repo.state import ItemColumns, TimeArray, UserColumns
from inference.state_columns import (
    ItemRecords,
    RowMap,
    Strings,
    UserRecords,
    item_columns,
    offsets_of,
    stored_item_numbers,
    stored_item_texts,
    stored_user_numbers,
    user_columns,
)

READ_ROWS = 2_000  # keys in one read of the item table
WRITE_ROWS = 1_000  # rows in one write, a transaction
REDIS_TIMEOUT_SECONDS = 1.0
NEVER = datetime.fromtimestamp(0, UTC)
PLACE = "_place"

Record = Mapping[str, Value]


class FeatureReader(Protocol):
    """Reads state as of a time; the online and the historical store answer alike."""

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        """State of users as of their queries' times.

        Args:
            user_ids: Ids [q], need not be known, may repeat.
            times: Unix seconds [q]. The online store holds one state a user, the newest; times set the ages.

        Raises:
            FeatureStoreError: The store cannot be read.
        """
        ...

    def items(self, time: float) -> ItemColumns:
        """The catalogue as of a time, aligned to the row map; the online store has the newest only.

        Raises:
            FeatureStoreError: The store cannot be read.
        """
        ...


@dataclass(frozen=True)
class StoreSettings:
    """Which online features, and where they live.

    Attributes:
        directory: Holds the registry and, embedded, the SQLite files; a folder a project.
        dataset: Name of the dataset.
        stage: rank, test or final.
        redis: `host:port`, a `redis://` or `rediss://` address, or Feast's own connection string; "" is SQLite.
    """

    directory: Path
    dataset: str
    stage: str = "final"
    redis: str = ""

    def config(self, feature_set: FeatureSet, *, joins: bool = False) -> RepoConfig:
        """Feast's configuration of the project of a feature set; `joins` needs DuckDB, which servers have not."""
        online: dict[str, Any] = {"type": "sqlite", "path": str(self.sqlite_file(feature_set))}
        if self.redis:
            # Rows are written whole and by one writer, so that a rollback may put older values back.
            online = {"type": "redis", "connection_string": redis_connection(self.redis), "skip_dedup": True}
        project = project_name(self.dataset, self.stage, feature_set)
        return _repo_config(project, (self.directory / project).absolute(), online, joins=joins)

    def sqlite_file(self, feature_set: FeatureSet) -> Path:
        """Absolute path of the SQLite file of a feature set."""
        return (self.directory / project_name(self.dataset, self.stage, feature_set) / "online.db").absolute()


class OnlineFeatures:
    """Reads users by request and the item table in bulk from the online store. Safe to share between threads.

    Args:
        feature_set: What was materialised; another set has other keys.
        item_ids: The row map [m].
        settings: Where the features live.

    Raises:
        FeatureStoreError: The embedded store was never filled for this stage and feature set.
    """

    def __init__(self, feature_set: FeatureSet, item_ids: npt.NDArray[np.object_], settings: StoreSettings) -> None:
        file = settings.sqlite_file(feature_set)
        if not settings.redis and not file.is_file():
            raise FeatureStoreError(
                f"{file} is missing: the online store holds no features of stage {settings.stage!r} and feature set"
                f" {feature_set.hash}; materialise them first."
            )
        self._feature_set = feature_set
        self._row_map = RowMap(item_ids)
        self._config = settings.config(feature_set)
        self._provider = get_provider(self._config)
        self._objects = feature_objects(feature_set, settings.directory)
        self._failures = _failures(settings)
        self._file = None if settings.redis else file
        self._inode = 0 if settings.redis else file.stat().st_ino
        if settings.redis:
            _retry_once(self._provider, self._config)

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        """See `FeatureReader.users`; two reads of the store, whatever the number of users."""
        keys = [_key("user_id", user_id) for user_id in user_ids]
        stats = self._read(self._objects.user_stats, keys)
        histories = self._read(self._objects.user_history, keys)
        return user_columns(_user_records(stats, histories, self._feature_set), times, self._feature_set, self._row_map)

    def items(self, time: float) -> ItemColumns:
        """See `FeatureReader.items`."""
        names = stored_item_numbers(self._feature_set), stored_item_texts(self._feature_set)
        numbers: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in names[0]}
        texts: dict[str, list[Strings]] = {name: [] for name in names[1]}
        item_ids = self._row_map.item_ids
        for start in range(0, len(item_ids), READ_ROWS):
            keys = [_key("item_id", item_id) for item_id in item_ids[start : start + READ_ROWS]]
            records = self._read(self._objects.item_stats, keys)
            for name, parts in numbers.items():
                parts.append(_numbers(records, name))
            for name, found in texts.items():
                found.append(_texts(records, name))
        record = ItemRecords(
            numbers={name: np.concatenate(parts) for name, parts in numbers.items()},
            texts={name: np.concatenate(found) for name, found in texts.items()},
        )
        return item_columns(record, time, self._feature_set, self._row_map)

    def _read(self, view: FeatureView, keys: list[EntityKey]) -> list[Record | None]:
        names = [field.name for field in view.features]
        try:
            if self._file is not None and self._file.stat().st_ino != self._inode:
                raise OSError(f"{self._file} was replaced")  # the kept connection reads on in the old file
            answers = self._provider.online_read(self._config, view, keys, names)
        except self._failures as error:
            raise FeatureStoreError(f"The online store cannot be read ({view.name}): {error}") from error
        # SQLite has no stamp for a key it does not know, Redis that of 1970.
        return [record if stamp is not None and stamp > NEVER else None for stamp, record in answers]


class PointInTimeJoin:
    """Feast's point-in-time join over snapshots, with a registry of its own that ends with it.

    Args:
        snapshots: Directory of the snapshot files.
        feature_set: Names the columns.
    """

    def __init__(self, snapshots: Path, feature_set: FeatureSet) -> None:
        _drop_engine_at_exit()
        self._folder = tempfile.TemporaryDirectory(prefix="kuberec-registry-")
        config = _repo_config("history", Path(self._folder.name), None, joins=True)
        self._store = _applied(config, feature_objects(feature_set, snapshots))

    def close(self) -> None:
        """Removes the registry."""
        self._folder.cleanup()

    def users(self, user_ids: Sequence[str], stamps: npt.NDArray[np.int64]) -> pa.Table:
        """Everything stored of users [n] as of microseconds [n], in the order asked for; null where unknown."""
        return self._join("users", "user_id", user_ids, stamps)

    def items(self, item_ids: Sequence[str], stamps: npt.NDArray[np.int64]) -> pa.Table:
        """Everything stored of items [n] as of microseconds [n], in the order asked for; null where unknown."""
        return self._join("items", "item_id", item_ids, stamps)

    def _join(self, service: str, key: str, ids: Sequence[str], stamps: npt.NDArray[np.int64]) -> pa.Table:
        entities = pa.table(
            {
                key: pa.array(ids, pa.string()),
                TIMESTAMP_FIELD: pa.array(stamps, pa.timestamp("us", tz="UTC")),
                PLACE: np.arange(len(ids)),
            }
        )
        with _quiet():
            joined = self._store.get_historical_features(
                entity_df=entities.to_pandas(), features=self._store.get_feature_service(service)
            ).to_arrow()
        return joined.sort_by(PLACE)


def materialize(features_dir: Path, feature_set: FeatureSet, settings: StoreSettings, as_of: float) -> None:
    """Fills the online store with the state of every user and item as of a time.

    Keys carry dataset, stage and feature hash: what another bundle reads is not touched. Rows are replaced one by one.

    Args:
        features_dir: See `FeaturesDirectory`.
        feature_set: Names the columns.
        settings: Where to write.
        as_of: Unix seconds.

    Raises:
        FeatureStoreError: The store cannot be written.
    """
    config = settings.config(feature_set, joins=True)
    objects = feature_objects(feature_set, FeaturesDirectory(features_dir).snapshots)
    try:
        _applied(config, objects)
        if not settings.redis:
            _write_ahead(settings.sqlite_file(feature_set))
        provider = get_provider(config)
        for view in objects.views:
            key = "item_id" if view is objects.item_stats else "user_id"
            rows = _latest(config, provider, view, key, as_of)
            starts = range(0, rows.num_rows, WRITE_ROWS)
            for start in track(starts, f"filling the online store with {view.name} ({rows.num_rows:,} rows)"):
                batch = rows.slice(start, WRITE_ROWS)
                provider.online_write_batch(config, view, _write_rows(batch, view, key), None)
    except _failures(settings) as error:
        raise FeatureStoreError(f"The online store cannot be filled: {error}") from error


def redis_connection(address: str) -> str:
    """Feast's connection string of a Redis address, with timeouts so that a silent server is a dead one.

    Args:
        address: `host:port`, `redis://[user:password@]host[:port][/db]`, `rediss://...`, or Feast's own string.
    """
    if "://" in address:
        parts = urlsplit(address)
        options = {"db": parts.path.strip("/"), "username": parts.username, "password": parts.password}
        named = [f"{name}={value}" for name, value in options.items() if value]
        secure = ["ssl=true"] if parts.scheme == "rediss" else []
        address = ",".join([f"{parts.hostname}:{parts.port or 6379}", *named, *secure])
    timeouts = {"socket_timeout": REDIS_TIMEOUT_SECONDS, "socket_connect_timeout": REDIS_TIMEOUT_SECONDS}
    return ",".join([address, *(f"{name}={value}" for name, value in timeouts.items() if f"{name}=" not in address)])


def _repo_config(project: str, folder: Path, online: Mapping[str, Any] | None, *, joins: bool) -> RepoConfig:
    folder.mkdir(parents=True, exist_ok=True)
    with _quiet():
        return RepoConfig(
            project=project,
            provider="local",
            registry={"path": str(folder / "registry.db"), "cache_ttl_seconds": 0},  # 0: never refreshed
            online_store=online,
            offline_store={"type": "duckdb" if joins else "dask"},
            entity_key_serialization_version=3,
        )


def _applied(config: RepoConfig, objects: FeatureObjects) -> FeatureStore:
    with _quiet():
        store = FeatureStore(config=config)
        store.apply(objects.all())
    return store


@contextmanager
def _quiet() -> Iterator[None]:
    """Feast and Ibis warn of each other's deprecations, which nobody here can mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _drop_engine_at_exit() -> None:
    """Feast joins in Ibis' default DuckDB connection, and DuckDB complains of one that outlives the interpreter."""
    import ibis  # only where there are joins: the serving image has none

    atexit.register(setattr, ibis.options, "default_backend", None)


def _failures(settings: StoreSettings) -> tuple[type[Exception], ...]:
    """What a store raises when it cannot be reached or read."""
    if not settings.redis:
        return (sqlite3.Error, OSError)
    from redis.exceptions import RedisError  # only where Redis is configured

    return (RedisError, OSError)


def _retry_once(provider: Provider, config: RepoConfig) -> None:
    """Lets reads fail fast: by default the client tries four times and sleeps for seconds in between.

    Once more at once, because a connection kept from before a restart fails on first use.
    """
    from redis.backoff import NoBackoff  # only where Redis is configured
    from redis.retry import Retry

    client = cast(Any, provider).online_store._get_client(config.online_store)
    client.set_retry(Retry(NoBackoff(), 1))


def _write_ahead(path: Path) -> None:
    """Lets requests read while a refresh writes; SQLite remembers it in the file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _latest(config: RepoConfig, provider: Provider, view: FeatureView, key: str, as_of: float) -> pa.Table:
    """The newest snapshot row of every key as of a time."""
    _drop_engine_at_exit()
    with _quiet():
        job = provider.offline_store.pull_latest_from_table_or_query(
            config=config,
            data_source=cast(DataSource, view.batch_source),
            join_key_columns=[key],
            feature_name_columns=[field.name for field in view.features],
            timestamp_field=TIMESTAMP_FIELD,
            created_timestamp_column=None,
            start_date=NEVER,
            end_date=NEVER + timedelta(microseconds=round(as_of * 1e6)),
        )
        return job.to_arrow().sort_by(key)  # neighbours in the file are written together


def _write_rows(
    batch: pa.Table, view: FeatureView, key: str
) -> list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]]:
    names = [field.name for field in view.features]
    columns = [_values(batch[field.name], str(field.dtype)) for field in view.features]
    keys = [_key(key, entity) for entity in batch[key].to_pylist()]
    moments = batch[TIMESTAMP_FIELD].to_pylist()
    rows = zip(*columns, strict=True)
    return [
        (entity, dict(zip(names, row, strict=True)), moment, None)
        for entity, row, moment in zip(keys, rows, moments, strict=True)
    ]


def _values(column: pa.ChunkedArray, dtype: str) -> list[Value]:
    """Feast values of a column, of its declared type; null is a value that is not set."""
    make = VALUE_OF_TYPE[dtype]
    return [Value() if entry is None else make(entry) for entry in column.to_pylist()]


VALUE_OF_TYPE: Mapping[str, Callable[[Any], Value]] = {
    "Float32": lambda entry: Value(float_val=entry),
    "Float64": lambda entry: Value(double_val=entry),
    "Bool": lambda entry: Value(bool_val=entry),
    "String": lambda entry: Value(string_val=entry),
    "Array(Float64)": lambda entry: Value(double_list_val=DoubleList(val=entry)),
    "Array(String)": lambda entry: Value(string_list_val=StringList(val=entry)),
}


def _key(name: str, entity: str) -> EntityKey:
    return EntityKey(join_keys=[name], entity_values=[Value(string_val=entity)])


def _numbers(records: Sequence[Record | None], name: str) -> npt.NDArray[np.float64]:
    return np.array([_plain(record, name, np.nan) for record in records], dtype=np.float64)


def _texts(records: Sequence[Record | None], name: str) -> Strings:
    return np.array([_plain(record, name, "") for record in records], dtype=object)


def _plain(record: Record | None, name: str, missing: Any) -> Any:
    value = None if record is None else record.get(name)
    kind = None if value is None else value.WhichOneof("val")
    return missing if kind is None else getattr(value, kind)


def _user_records(
    stats: Sequence[Record | None], histories: Sequence[Record | None], feature_set: FeatureSet
) -> UserRecords:
    arrays = {name: [_array(record, name) for record in histories] for name in HISTORY_ARRAYS}
    ids = {name: list(chain.from_iterable(parts)) for name, parts in arrays.items() if HISTORY_ARRAYS[name] == "string"}
    return UserRecords(
        known=np.array([record is not None for record in stats], dtype=np.bool_),
        numbers={name: _numbers(stats, name) for name in stored_user_numbers(feature_set)},
        texts={name: _texts(stats, name) for name in feature_set.user_categorical},
        history_offsets=offsets_of([len(part) for part in arrays["history_ids"]]),
        own_offsets=offsets_of([len(part) for part in arrays["own_ids"]]),
        ids=ids,
        arrays={name: _flat(parts) for name, parts in arrays.items() if name not in ids},
    )


def _array(record: Record | None, name: str) -> Sequence[Any]:
    found = _plain(record, name, None)
    return () if found is None else found.val


def _flat(parts: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    return np.fromiter(chain.from_iterable(parts), dtype=np.float64, count=sum(len(part) for part in parts))
