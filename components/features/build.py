"""Builds the features of prepared tables: the feature set, the snapshots and the static item content.

Reads prepared tables into DuckDB and writes a `FeaturesDirectory`. The definitions of the columns are in
`feature_repo`.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.dataset.split import HOUR
from feature_repo.dataset.tables import PreparedTables, item_universe
from feature_repo.features.choice import choose_features
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.snapshots.calendar import Calendar, LogTables
from feature_repo.features.snapshots.history import user_history
from feature_repo.features.snapshots.items import item_stats
from feature_repo.features.snapshots.labels import with_label_times
from feature_repo.features.snapshots.users import user_stats
from feature_repo.progress import say
from feature_repo.storage.files import atomic_write, write_parquet
from feature_repo.storage.quoting import parquet_scan, write_expression
from inference.sources import SOURCES

EVENT_COLUMNS = ["row", "user_id", "item_id", "timestamp", "grade"]
MEMORY_LIMIT = "2GB"  # of DuckDB, which spills to disk beyond it

TIME_COLUMNS = {
    "interactions": {"timestamp": "time_us"},
    "impressions": {"timestamp": "time_us"},
    "items": {"valid_from": "valid_from_us", "created_at": "created_at_us"},
    "users": {"valid_from": "valid_from_us", "signup_at": "signup_at_us"},
}


def build_features(tables_dir: Path, out_dir: Path, since: float | None = None) -> FeatureSet:
    """Writes a features directory.

    Args:
        tables_dir: Prepared tables, cleaned by the row rules.
        out_dir: The directory to write.
        since: Earliest time at which features will be read, unix seconds; the split's `rank_start` by default.

    Raises:
        DatasetError: A declared extra column has the name of a computed column.
    """
    tables, out = PreparedTables.open(tables_dir), FeaturesDirectory(out_dir)
    feature_set = choose_features(tables, [source.name for source in SOURCES])
    item_ids = item_universe(tables)
    write_parquet(out.item_ids_file, pa.table({"item_id": pa.array(item_ids, pa.string())}))
    write_parquet(out.items_static_file, newest_content(tables.items, item_ids))
    _write_snapshots(tables, feature_set, Calendar.of_users(tables.split, since), Calendar.of(tables.split, since), out)
    write_parquet(out.events_file, graded_events(tables))
    feature_set.save(out.feature_set_file)
    return feature_set


def build_newest(tables_dir: Path, out_dir: Path, feature_set: FeatureSet, end: float) -> float:
    """Writes only the newest snapshot, with the columns of a given feature set.

    Args:
        tables_dir: Prepared tables, cleaned by the row rules.
        out_dir: A features directory; receives the feature set and the snapshots, but no row map and no item content.
        feature_set: The columns to compute; the tables must hold their source columns.
        end: Unix seconds up to which events count; the log's end or later.

    Returns:
        The time stamp of the snapshot, just after `end`.
    """
    tables, out = PreparedTables.open(tables_dir), FeaturesDirectory(out_dir)
    split = counted = tables.split.model_copy(update={"log_end": end})
    if feature_set.item_windows:
        counted = split.model_copy(update={"step": feature_set.item_windows[0] * HOUR})
    _write_snapshots(tables, feature_set, Calendar.of_users(split, end), Calendar.of(counted, end), out)
    feature_set.save(out.feature_set_file)
    return split.stamp(end)


def graded_events(tables: PreparedTables) -> pa.Table:
    """The positive and negative events, by user, time (microseconds) and row: user_id, item_id, time_us, grade.

    A history may hold the items that leave-one-out keeps from the models; the time of its query decides.
    """
    events = tables.read("interactions", EVENT_COLUMNS)
    graded = events.filter(pc.not_equal(events["grade"], 0))
    if tables.holds_out:
        unknown = tables.held_out.filter(pc.not_equal(tables.held_out["role"], "rank")).drop_columns(["role"])
        graded = pa.concat_tables([graded, unknown], promote_options="default")
    graded = graded.sort_by([("user_id", "ascending"), ("timestamp", "ascending"), ("row", "ascending")])
    return pa.table(
        {
            "user_id": graded["user_id"],
            "item_id": graded["item_id"],
            "time_us": graded["timestamp"].cast(pa.int64()),
            "grade": graded["grade"],
        }
    )


def _write_snapshots(
    tables: PreparedTables, feature_set: FeatureSet, of_users: Calendar, of_items: Calendar, out: FeaturesDirectory
) -> None:
    with tempfile.TemporaryDirectory(prefix="kuberec-features-") as spill:
        connection = connect(Path(spill))
        try:
            log = read_log(connection, tables)
            snapshots = {
                "user_stats": (user_stats(log, of_users, feature_set), "user_id"),
                "user_history": (user_history(log, of_users), "user_id"),
                "item_stats": (item_stats(log, of_items, feature_set), "item_id"),
            }
            for name, (expression, key) in snapshots.items():
                started = time.monotonic()
                num_rows = write_snapshot(connection, expression, key, out.snapshots / f"{name}.parquet")
                say(f"features: {name} has {num_rows:,} rows, {time.monotonic() - started:.1f} s")
        finally:
            connection.disconnect()


def connect(spill: Path) -> Any:
    """A DuckDB connection with bounded memory that spills to a directory."""
    connection = ibis.duckdb.connect(memory_limit=MEMORY_LIMIT, temp_directory=spill)
    connection.raw_sql("SET lambda_syntax = 'ENABLE_SINGLE_ARROW'")  # Ibis 12 emits a syntax that DuckDB 2 disables
    return connection


def read_log(connection: Any, tables: PreparedTables) -> LogTables:
    """The prepared tables as Ibis tables of a DuckDB connection, with times in microseconds and times of labels."""
    found = {}
    for name, times in TIME_COLUMNS.items():
        columns = ", ".join(f"epoch_us({column}) AS {renamed}" for column, renamed in times.items())
        connection.raw_sql(f"CREATE TEMP VIEW {name} AS SELECT *, {columns} FROM {parquet_scan(tables.path(name))}")
        found[name] = connection.table(name)
    sources = tables.description["label_sources"]
    joined = {name: kinds for name, kinds in tables.config.objectives.items() if "joined" in sources[name]}
    own = frozenset(name for name in joined if "column" in sources[name])
    num_own = tables.description["num_own"]["impressions"]
    found["impressions"] = with_label_times(found["impressions"], found["interactions"], joined, own, num_own)
    return LogTables(**found)


def write_snapshot(connection: Any, expression: Any, key: str, path: Path) -> int:
    """Writes a snapshot expression, sorted by (stamp, key), and returns its number of rows."""
    with atomic_write(path) as temporary:
        write_expression(connection, expression.order_by("event_timestamp", key), temporary)
        return int(pq.read_metadata(temporary).num_rows)


def newest_content(items: pa.Table, item_ids: np.ndarray[Any, np.dtype[np.object_]]) -> pa.Table:
    """The latest row of every item in the order of the row map; null for ids without a row."""
    order = np.arange(items.num_rows)
    last = dict(zip(items["item_id"].to_pylist(), order, strict=True))  # rows are sorted by (id, valid_from, row)
    places = [last.get(item_id) for item_id in item_ids]
    content = items.drop_columns(["row", "row_hash", "item_id", "valid_from"]).take(pa.array(places, pa.int64()))
    return content.add_column(0, "item_id", pa.array(item_ids, pa.string()))
