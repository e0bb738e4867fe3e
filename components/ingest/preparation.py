"""Converts one source table to one prepared table, in DuckDB, with bounded memory.

Maps source columns to prepared columns, and builds the statement that reads, sorts and writes. It drops no row: the row
rules of `validation` run later. A missing column, or a type or value that cannot be read, raises `DatasetError`, which
names file, column and row; in the served log such a value is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from components.ingest.reading.expressions import EXPECTED, quoted, read_column, read_folder
from components.ingest.reading.value_checks import Check, check_values
from components.ingest.sources import FileGroup, TableSource
from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.contract import CONTRACT_COLUMNS, REQUIRED_COLUMNS
from feature_repo.dataset.tables import SORT_KEYS, TIMESTAMP, column_kinds, label_column, table_schema
from feature_repo.errors import DatasetError
from feature_repo.storage.files import atomic_write, write_parquet
from feature_repo.storage.quoting import file_pattern, literal

SQL_OF_ARROW = {
    pa.int64(): "BIGINT",
    pa.uint64(): "UBIGINT",
    pa.string(): "VARCHAR",
    pa.float64(): "DOUBLE",
    TIMESTAMP: "TIMESTAMPTZ",
    pa.bool_(): "BOOLEAN",
    pa.int32(): "INTEGER",
    pa.int8(): "TINYINT",
}
# Columns that pandas or a CSV file adds to number the rows: rows that are equal but for them are duplicates.
COUNTER_COLUMN = re.compile(r"__index_level_\d+__|Unnamed: \d+")
MOST_NAMES = 12  # columns that an error sentence lists
PLACE = "place.first_row + source.file_row_number"


@dataclass
class GroupSelect:
    """The SELECT over one group of files: prepared columns in SQL, and checks of their values."""

    group: FileGroup
    columns: dict[str, str] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    def relation(self) -> str:
        """SQL of the rows as `source`, with `filename` and `file_row_number`, joined with their file as `place`."""
        files = ", ".join(literal(file_pattern(file.path)) for file in self.group.files)
        scan = f"read_parquet([{files}], hive_partitioning = false, filename = true, file_row_number = true)"
        places = ", ".join(
            f"({literal(str(file.path))}, {file.first_row}{''.join(f', {_text(value)}' for value in file.folders)})"
            for file in self.group.files
        )
        names = ", ".join(["path", "first_row", *(_folder(key) for key in range(len(self.group.hive_keys)))])
        return f"{scan} AS source JOIN (VALUES {places}) AS place({names}) ON source.filename = place.path"

    def sql(self, hashed: list[str]) -> str:
        """The complete SELECT; `row_hash` covers the source columns `hashed` of the dataset."""
        names = sorted(self.group.columns) if self.group.served else hashed
        values = ", ".join(_hashable(self.group, name) for name in names)
        columns = [f"{sql} AS {quoted(name)}" for name, sql in self.columns.items()]
        row = [f"{PLACE} AS row", f"hash({values}) AS row_hash"]
        return f"SELECT {', '.join(row + columns)} FROM {self.relation()}"


def connect(spill: Path) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB in UTC that spills to a folder instead of growing past 2 GB."""
    connection = duckdb.connect(config={"threads": 2, "memory_limit": "2GB", "temp_directory": str(spill)})
    for setting in (
        "TimeZone = 'UTC'",
        "preserve_insertion_order = false",
        "enable_progress_bar_print = false",
        "enable_progress_bar = true",  # for `query_progress`
        # The statistics of a Parquet file leave out NaN: DuckDB would take `isnan` for false and `value <= 1` for true.
        "disabled_optimizers = 'statistics_propagation'",
    ):
        connection.execute(f"SET {setting}")
    return connection


def prepare(
    connection: duckdb.DuckDBPyConnection,
    source: TableSource,
    config: DatasetConfig,
    target: Path,
    finish: Callable[[str], str] = lambda select: select,
) -> None:
    """Writes the prepared table of a source.

    Args:
        connection: From `connect`.
        source: Files of the table; without any, an empty table of the same schema is written.
        config: Renames, extras and surfaces.
        target: The Parquet file to write.
        finish: Wraps the SELECT of the contract's columns to add derived columns.

    Raises:
        DatasetError: A required or declared column is missing, or a type or value cannot be read.
    """
    schema = table_schema(source.table, config)
    if not source.num_rows:
        write_parquet(target, schema.empty_table())
        return
    _check_declared(source, config)
    selects = [_group_select(source.table, group, config) for group in source.groups]
    for select in selects:
        check_values(connection, select.relation(), PLACE, select.checks)
    hashed = sorted(name for name in source.names if not COUNTER_COLUMN.fullmatch(name))
    union = " UNION ALL ".join(select.sql(hashed) for select in selects)
    typed = ", ".join(
        f"CAST({quoted(column.name)} AS {SQL_OF_ARROW[column.type]}) AS {quoted(column.name)}" for column in schema
    )
    order = ", ".join(f"{key} NULLS FIRST" for key in SORT_KEYS[source.table])
    with atomic_write(target) as temporary:
        connection.execute(
            f"COPY (SELECT {typed} FROM ({finish(union)}) ORDER BY {order}) "
            f"TO {literal(str(temporary))} (FORMAT parquet, COMPRESSION zstd)"
        )


def label_columns(source: TableSource, config: DatasetConfig) -> frozenset[str]:
    """Objectives whose labels are columns of the dataset's impressions."""
    return frozenset(
        objective
        for objective in config.objective_names
        if any(name in source.names for name in config.file_columns("impressions", objective))
    )


def _check_declared(source: TableSource, config: DatasetConfig) -> None:
    """Checks that a file of the dataset has each declared column, and that every file has each required column."""
    declared = [(f"columns.{source.table}.{name}", name) for name in getattr(config.columns, source.table)]
    extras = config.extras(source.table)
    declared += [(f"features.{source.table}.categorical", name) for name in extras.categorical]
    declared += [(f"features.{source.table}.numerical", name) for name in extras.numerical]
    for key, name in declared if source.own else ():
        for column in config.file_columns(source.table, name):
            if column not in source.names:
                raise DatasetError(f"{source.path} has no column '{column}', which dataset.toml names in {key}.")
    for name in REQUIRED_COLUMNS[source.table]:
        for group in source.groups:
            for column in (name,) if group.served else config.file_columns(source.table, name):
                if column not in group.names:
                    renamed = "" if column == name else f" ({name} by dataset.toml)"
                    there = ", ".join(repr(each) for each in sorted(group.names)[:MOST_NAMES]) or "none"
                    raise DatasetError(
                        f"{group.files[0].path} has no column '{column}'{renamed}, which is required; "
                        f"its columns are {there}."
                    )


def repeated_events(connection: duckdb.DuckDBPyConnection, source: TableSource, config: DatasetConfig) -> int:
    """Creates the temporary table `repeated`: the `row`s of the log whose event_id appears earlier in dataset or log.

    A client that gets no response posts its events again, and an owner may also copy logged events into the dataset.

    Returns:
        The number of repeated rows.
    """
    served = _events(source.served, config)
    if not served:
        connection.execute("CREATE OR REPLACE TEMP TABLE repeated (row BIGINT)")
        return 0
    own = _events(source.own, config) or "SELECT NULL AS event_id"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE repeated AS WITH served AS MATERIALIZED (SELECT * FROM ({served}) "
        f"WHERE event_id IS NOT NULL), own AS (SELECT event_id FROM ({own}) SEMI JOIN served USING (event_id)) "
        "SELECT row FROM served QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY timestamp, row) > 1 "
        "OR event_id IN (SELECT event_id FROM own)"
    )
    found = connection.execute("SELECT count(*) FROM repeated").fetchone()
    return int(found[0]) if found else 0


def _events(groups: tuple[FileGroup, ...], config: DatasetConfig) -> str:
    """SQL of row, event_id and timestamp of the interaction groups that have event ids; "" if no group has ids."""
    selects = [_group_select("interactions", group, config) for group in groups]
    return " UNION ALL ".join(
        f"SELECT {PLACE} AS row, {select.columns['event_id']} AS event_id, {select.columns['timestamp']} AS timestamp "
        f"FROM {select.relation()}"
        for select in selects
        if select.columns["event_id"] != "NULL"
    )


def _group_select(table: str, group: FileGroup, config: DatasetConfig) -> GroupSelect:
    if group.served:
        return _served_select(table, group, config)
    select = GroupSelect(group)
    for name, reading in column_kinds(table, config).items():
        values = _values(select, config.file_columns(table, name), reading)
        select.columns[name] = values[0] if values else "NULL"
        if name == "surface" and config.surfaces:
            select.columns[name] = _mapped(select.columns[name], config)
    if table == "impressions":
        for objective in config.objective_names:
            labels = _values(select, config.file_columns(table, objective), "label")
            select.columns[label_column(objective)] = (
                f"coalesce(greatest({', '.join(labels)}), 0)" if labels else "NULL"
            )
    return select


def _served_select(table: str, group: FileGroup, config: DatasetConfig) -> GroupSelect:
    """The SELECT over files that servers wrote: contract names and surfaces need no mapping; labels are joined."""
    select = GroupSelect(group)
    for name, reading in column_kinds(table, config).items():
        known = name in CONTRACT_COLUMNS[table] and name in group.columns
        select.columns[name] = _value(select, name, reading) if known else "NULL"
    if table == "impressions":
        select.columns |= {label_column(objective): "NULL" for objective in config.objective_names}
    return select


def _values(select: GroupSelect, columns: tuple[str, ...], reading: str) -> list[str]:
    """SQL of the source columns that the group has."""
    return [_value(select, column, reading) for column in columns if column in select.group.names]


def _value(select: GroupSelect, column: str, reading: str) -> str:
    """SQL of a source column in a way of reading; adds its check to `select`. An invalid type raises DatasetError."""
    group = select.group
    if column in group.columns:
        expression = read_column(f"source.{quoted(column)}", group.columns[column], reading)
        kind = f"of type {group.columns[column]}"
    else:
        expression, kind = read_folder(_folder_value(group, column), reading), "the name of a folder"
    if expression is None:
        raise DatasetError(f"{group.files[0].path}: column '{column}' is {kind}; it must hold {EXPECTED[reading]}.")
    if group.served:  # a value of the log that cannot be read is missing
        expression = replace(expression, bad=None)
    if expression.bad is not None or expression.missing is not None:
        select.checks.append(Check(column, EXPECTED[reading], expression))
    return expression.sql


def _mapped(value: str, config: DatasetConfig) -> str:
    """SQL that renames surfaces according to `[surfaces]`; other surfaces keep their names."""
    cases = [
        f"WHEN {literal(name)} THEN {literal(surface)}" for surface, names in config.surfaces.items() for name in names
    ]
    return f"CASE {value} {' '.join(cases)} ELSE {value} END"


def _hashable(group: FileGroup, name: str) -> str:
    """SQL of a source value for `row_hash`; null for a column that the group does not have."""
    if name in group.columns:
        return f"source.{quoted(name)}"
    if name in group.hive_keys:
        return _folder_value(group, name)
    return "NULL"


def _folder(place: int) -> str:
    """Name of the column that holds the value of a group's hive folder."""
    return f"folder_{place}"


def _folder_value(group: FileGroup, key: str) -> str:
    return f"place.{_folder(group.hive_keys.index(key))}"


def _text(value: str | None) -> str:
    return "CAST(NULL AS VARCHAR)" if value is None else literal(value)
