"""Fills the online store from snapshots."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing, nullcontext
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import cast

import pyarrow as pa
from feast import FeatureView, RepoConfig
from feast.data_source import DataSource
from feast.infra.provider import Provider

from feature_repo.definitions import FRESHNESS_FIELDS, TIMESTAMP_FIELD, feature_objects
from feature_repo.errors import FeatureStoreError
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.feature_set import FeatureSet
from feature_repo.progress import say, track
from inference.feature_store.filling_lock import FillingLock, filling_lock
from inference.feature_store.freshness import KEY, Freshness
from inference.feature_store.popular_lists import lists_row
from inference.feature_store.project import (
    NEVER,
    StoreSettings,
    applied,
    drop_engine_at_exit,
    failures,
    num_evicted,
    online_provider,
    quiet,
)
from inference.feature_store.values import write_rows

SQLITE_MAGIC = b"SQLite format 3\0"
WRITE_ROWS = 1_000  # rows per write (one transaction)
NO_LISTS: Mapping[str, bytes] = MappingProxyType({})


def materialize(
    features_dir: Path,
    feature_set: FeatureSet,
    settings: StoreSettings,
    as_of: float,
    computed_at: float | None = None,
    lock: FillingLock | None = None,
    lists: Mapping[str, bytes] = NO_LISTS,
) -> dict[str, int]:
    """Fills the online store with the state of every user and item as of a time.

    Keys contain dataset, stage and feature hash, so the rows of other bundles stay unchanged. Rows are replaced one by
    one; the freshness record is written last. One process fills a feature set at a time. Of runs that overlap, the run
    that read the dataset last counts: an older one leaves newer features and says so.

    Args:
        features_dir: See `FeaturesDirectory`.
        feature_set: Names the columns.
        settings: Location of the store.
        as_of: Time of the state, unix seconds.
        computed_at: Wall time at which the dataset was read, unix seconds; None means now.
        lock: The lock of the feature set, if the caller holds it for longer; None takes it for the call.
        lists: Version of a bundle with this feature set -> its popular list as of that time (`by_ids`). They replace
            all lists of the store; without any, the lists of the store stay.

    Returns:
        View -> rows written; empty if the store has newer features.

    Raises:
        FeatureStoreError: The store cannot be written.
    """
    computed_at = time.time() if computed_at is None else computed_at
    config = settings.config(feature_set, joins=True)
    with nullcontext(lock) if lock else filling_lock(settings, feature_set) as held:
        try:
            return _fill(config, features_dir, feature_set, settings, as_of, computed_at, held, lists)
        except failures(settings) as error:
            advice = (
                "; `python -m components.release prune` removes unused features" if "maxmemory" in str(error) else ""
            )
            raise FeatureStoreError(f"The online store cannot be filled: {str(error).rstrip('.')}{advice}.") from error


def _fill(
    config: RepoConfig,
    features_dir: Path,
    feature_set: FeatureSet,
    settings: StoreSettings,
    as_of: float,
    computed_at: float,
    lock: FillingLock,
    lists: Mapping[str, bytes],
) -> dict[str, int]:
    objects = feature_objects(feature_set, FeaturesDirectory(features_dir).snapshots)
    if not settings.redis:
        _remove_damaged(settings.sqlite_file(feature_set))
    applied(config, objects)
    if not settings.redis:
        _write_ahead(settings.sqlite_file(feature_set))
    provider = online_provider(config, settings)
    answers = provider.online_read(config, objects.freshness, [KEY], list(FRESHNESS_FIELDS))
    online = Freshness.of([record for _, record in answers])
    if online is not None and online.computed_at > computed_at:
        say(
            f"The online store has features of a dataset that was read {online.computed_at - computed_at:,.0f} s later "
            "by a run that overtook this run: they stay."
        )
        return {}
    written = {}
    for view in objects.views:
        key = "item_id" if view is objects.item_stats else "user_id"
        rows = _latest(config, provider, view, key, as_of)
        starts = range(0, rows.num_rows, WRITE_ROWS)
        for start in track(starts, f"filling the online store with {view.name} ({rows.num_rows:,} rows)"):
            lock.keep()
            batch = rows.slice(start, WRITE_ROWS)
            provider.online_write_batch(config, view, write_rows(batch, view, key), None)
        written[view.name] = rows.num_rows
    lock.keep()
    if lists:
        provider.online_write_batch(config, objects.popularity, [lists_row(lists, computed_at)], None)
    counts = written[objects.user_stats.name], written[objects.item_stats.name]
    record = Freshness(computed_at, as_of, *counts, num_evicted(provider) if settings.redis else 0)
    provider.online_write_batch(config, objects.freshness, [record.row()], None)
    return written


def _remove_damaged(path: Path) -> None:
    """Removes a file that is not a SQLite file, and the journals of a file that is missing: a fill writes everything.

    SQLite cannot use a new file next to the journals of another one. Readers notice that the file was replaced.
    """
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC:
                return
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def _write_ahead(path: Path) -> None:
    """Sets SQLite's WAL mode, so that requests can read while a refresh writes; the file keeps the mode."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _latest(config: RepoConfig, provider: Provider, view: FeatureView, key: str, as_of: float) -> pa.Table:
    """Returns the newest snapshot row of every key as of a time."""
    drop_engine_at_exit()
    with quiet():
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
        return job.to_arrow().sort_by(key)  # adjacent keys are written together
