"""Fills the online store from snapshots."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import cast

import pyarrow as pa
from feast import FeatureView, RepoConfig
from feast.data_source import DataSource
from feast.infra.provider import Provider

from feature_repo.definitions import TIMESTAMP_FIELD, feature_objects
from feature_repo.errors import FeatureStoreError
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.feature_set import FeatureSet
from feature_repo.progress import track
from inference.feature_store.freshness import Freshness
from inference.feature_store.project import (
    NEVER,
    StoreSettings,
    applied,
    drop_engine_at_exit,
    failures,
    online_provider,
    quiet,
)
from inference.feature_store.values import write_rows

WRITE_ROWS = 1_000  # rows per write (one transaction)


def materialize(
    features_dir: Path, feature_set: FeatureSet, settings: StoreSettings, as_of: float, computed_at: float | None = None
) -> dict[str, int]:
    """Fills the online store with the state of every user and item as of a time.

    Keys contain dataset, stage and feature hash, so the rows of other bundles stay unchanged. Rows are replaced one by
    one; the freshness record is written last.

    Args:
        features_dir: See `FeaturesDirectory`.
        feature_set: Names the columns.
        settings: Location of the store.
        as_of: Time of the state, unix seconds.
        computed_at: Wall time of the computation, unix seconds; None means now.

    Returns:
        View -> rows written.

    Raises:
        FeatureStoreError: The store cannot be written.
    """
    freshness = Freshness(time.time() if computed_at is None else computed_at, as_of)
    config = settings.config(feature_set, joins=True)
    objects = feature_objects(feature_set, FeaturesDirectory(features_dir).snapshots)
    written = {}
    try:
        applied(config, objects)
        if not settings.redis:
            _write_ahead(settings.sqlite_file(feature_set))
        provider = online_provider(config, settings)
        for view in objects.views:
            key = "item_id" if view is objects.item_stats else "user_id"
            rows = _latest(config, provider, view, key, as_of)
            starts = range(0, rows.num_rows, WRITE_ROWS)
            for start in track(starts, f"filling the online store with {view.name} ({rows.num_rows:,} rows)"):
                batch = rows.slice(start, WRITE_ROWS)
                provider.online_write_batch(config, view, write_rows(batch, view, key), None)
            written[view.name] = rows.num_rows
        provider.online_write_batch(config, objects.freshness, [freshness.row()], None)
    except failures(settings) as error:
        raise FeatureStoreError(f"The online store cannot be filled: {error}.") from error
    return written


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
