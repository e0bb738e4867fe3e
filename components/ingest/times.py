"""Looks at the times of prepared tables before anything is learned from them: wrong units, years before 1990.

A column whose times all fit another unit is refused, because ages, windows and days of the week would be wrong. Any
other finding is a warning: a log may be old or short, and the row rules set few outlying rows aside.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.reading.expressions import YEARS
from components.ingest.sources import FileGroup, TableSource, open_parquet
from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.contract import CONTRACT_COLUMNS, TIMED_TABLES
from feature_repo.dataset.time_units import DAY, EARLIEST_PLAUSIBLE, date, unit_error, year
from feature_repo.errors import DatasetError
from feature_repo.storage.quoting import parquet_scan

SHORTEST_SECONDS = 60.0
UNIT_NAMES = {"us": "microseconds", "ns": "nanoseconds"}  # Parquet stores seconds as milliseconds: both are unknown
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The number of rows of a part of a table, and their first and last time in unix seconds (0 without rows)."""

    rows: int
    first: float
    last: float


def time_warnings(
    directory: Path, sources: Mapping[str, TableSource], config: DatasetConfig, now: float | None = None
) -> tuple[str, ...]:
    """Sentences about implausible times of interactions and impressions; none for usual times.

    Args:
        directory: Holds the prepared tables.
        sources: Table -> its files, whose types give the units.
        config: The names of the columns in the files.
        now: The wall clock in unix seconds; None reads the clock.

    Raises:
        DatasetError: All times of a column fit another unit.
    """
    now = time.time() if now is None else now
    found: list[str] = []
    with duckdb.connect(config={"threads": 2, "memory_limit": "2GB"}) as connection:
        for table, source in sources.items():
            scan = parquet_scan(directory / f"{table}.parquet")
            for column, reading in CONTRACT_COLUMNS[table].items():
                groups = _typed_groups(source, config, column)
                if reading not in YEARS or not groups:
                    continue
                times = f"(SELECT epoch_us({column}) / 1e6 AS time FROM {scan})"
                whole = _range(connection, times, "true")
                if not whole.rows:  # prepared tables do not hold times beyond the year 9999
                    whole = _range_of_files(groups)
                _check_unit(table, column, whole, now, _unit(groups))
                if table in TIMED_TABLES:
                    found += _warnings(connection, table, times, now, _unit(groups))
    return tuple(found)


def _typed_groups(source: TableSource, config: DatasetConfig, column: str) -> list[tuple[FileGroup, str]]:
    """The dataset's files whose times of a column have a unit, and the name of the column there."""
    names = config.file_columns(source.table, column)
    return [
        (group, name)
        for group in source.own
        for name in names
        if pa.types.is_temporal(group.columns.get(name, pa.null()))
    ]


def _unit(groups: Sequence[tuple[FileGroup, str]]) -> str:
    """The unit in which files give the times of a column; "" if it is unknown."""
    kinds = [group.columns[name] for group, name in groups]
    units = {UNIT_NAMES.get(kind.unit, "") if isinstance(kind, pa.TimestampType) else "" for kind in kinds}
    return units.pop() if len(units) == 1 else ""


def _range_of_files(groups: Sequence[tuple[FileGroup, str]]) -> TimeRange:
    """The times of a column as the files hold them, however far they are; dates are left out."""
    rows, ends = 0, []
    for group, name in groups:
        kind = group.columns[name]
        for file in group.files if isinstance(kind, pa.TimestampType) else ():
            with open_parquet(file.path) as parquet:
                counts = parquet.read([name])[name].cast(pa.int64())
            found = pc.min_max(counts).as_py()
            if found["min"] is not None:
                rows += len(counts) - counts.null_count
                ends += [end / PER_SECOND[kind.unit] for end in found.values()]
    return TimeRange(rows, min(ends, default=0.0), max(ends, default=0.0))


def _check_unit(table: str, column: str, whole: TimeRange, now: float, read_as: str) -> None:
    """Refuses a column whose times all fit another unit."""
    is_early = whole.last < EARLIEST_PLAUSIBLE
    if not whole.rows or not (is_early or whole.first > now + DAY):
        return
    if error := unit_error(whole.first, whole.last, now, read_as):
        subject = f"The log of {table}" if column == "timestamp" else f"The column {column} of {table}"
        where = "before 1990" if is_early else "over a day past the wall clock"
        raise DatasetError(
            f"{subject} begins in {year(whole.first)}, and all its {whole.rows:,} times lie {where} "
            f"({_between(whole)}): they fit {error}; write the column {column} in the unit of its type."
        )


def _warnings(connection: duckdb.DuckDBPyConnection, table: str, times: str, now: float, read_as: str) -> list[str]:
    whole = _range(connection, times, "true")
    early = _range(connection, times, f"time < {EARLIEST_PLAUSIBLE!r}")
    late = _range(connection, times, f"time > {now + DAY!r}")
    found = []
    for part, where in ((early, "before 1990"), (late, "over a day past the wall clock")):
        error = unit_error(part.first, part.last, now, read_as) if part.rows else ""
        if error or (part is early and part.rows):
            begins = f"The log of {table} begins in {year(part.first)}: " if part is early else ""
            advice = f"they fit {error}" if error else "a missing time may have been written as 0"
            found.append(
                f"{begins}{part.rows:,} of {whole.rows:,} rows{'' if begins else f' of {table}'} lie {where} "
                f"({_between(part)}); {advice}. Correct or remove them."
            )
    if whole.rows > 1 and whole.last - whole.first < SHORTEST_SECONDS:
        found.append(
            f"All {whole.rows:,} rows of {table} lie within {whole.last - whole.first:.3g} s of {date(whole.first)}: "
            "check the unit of the column timestamp."
        )
    return found


def _range(connection: duckdb.DuckDBPyConnection, times: str, condition: str) -> TimeRange:
    query = f"SELECT count(time), min(time), max(time) FROM {times} WHERE {condition}"
    rows, first, last = connection.execute(query).fetchall()[0]
    return TimeRange(rows, first or 0.0, last or 0.0)


def _between(part: TimeRange) -> str:
    first, last = date(part.first), date(part.last)
    return first if first == last else f"{first} to {last}"
