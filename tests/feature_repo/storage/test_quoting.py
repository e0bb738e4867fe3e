"""Any printable folder name works in SQL, in patterns and in URIs; others are found before they break something."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.dataset.config import DatasetConfig
from feature_repo.errors import DatasetError, SettingsError
from feature_repo.storage.quoting import (
    file_pattern,
    parquet_scan,
    sqlite_uri,
    unusable_character,
    write_expression,
)
from pipelines.settings import PipelineSettings

NAMES = [
    "a%20%s",
    "a#b",
    "a?b",
    "a&b=c",
    "k=v",
    "a b ",
    "a[b]{c}(d)",
    "*",
    "a'b",
    'a"b',
    "a'b\"c",
    "zoë日本",
    "~a",
    "a:b,c;$d`e",
    "x" * 255,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_below_any_folder_is_read_and_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "table.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"a": [1]}), path)
    assert unusable_character(path) is None
    with duckdb.connect() as database:
        assert database.execute(f"FROM {parquet_scan(path)}").fetchall() == [(1,)]  # no column of the folder k=v
    connection = ibis.duckdb.connect()
    try:
        read = connection.read_parquet(file_pattern(path), hive_partitioning=False)
        more = ibis.memtable({"a": [2]})
        write_expression(connection, read.union(more).order_by("a"), path.with_name("written.parquet"))
    finally:
        connection.disconnect()
    assert pq.ParquetFile(path.with_name("written.parquet")).read().to_pydict() == {"a": [1, 2]}
    for mode in ("rwc", "ro"):
        with closing(sqlite3.connect(sqlite_uri(path.with_name("online.db"), mode), uri=True)) as online:
            online.execute("SELECT 1" if mode == "ro" else "CREATE TABLE t (a)")
    assert path.with_name("online.db").is_file()


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\\b", "a\x7fb"])
def test_other_names_are_refused_in_words(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    with pytest.raises(DatasetError, match=r"contains '.*': rename the folder\.$"):
        DatasetConfig.load(folder)
    variables = {"KUBEREC_VALIDATION_PYTHON": "/bin/sh"}
    for variable in ("KUBEREC_BUILD", "KUBEREC_STORES", "KUBEREC_LOGS"):
        with pytest.raises(SettingsError, match=rf"^{variable} is .*it contains '.*'; choose a folder without it\.$"):
            PipelineSettings.from_environment({**variables, variable: str(folder)})
