"""Looks at the times of prepared tables before anything is learned from them: wrong units, years before 1990.

A table whose times all fit another unit is refused, because ages, windows and days of the week would be wrong. Any
other finding is a warning: a log may be old or short, and the row rules set few outlying rows aside.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from components.ingest.sources import TableSource
from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.contract import TIMED_TABLES
from feature_repo.dataset.time_units import DAY, EARLIEST_PLAUSIBLE, date, unit_error, year
from feature_repo.errors import DatasetError
from feature_repo.storage.quoting import parquet_scan

SHORTEST_SECONDS = 60.0
UNIT_NAMES = {"us": "microseconds", "ns": "nanoseconds"}  # Parquet stores seconds as milliseconds: both are unknown


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The number of rows of a part of a table, and their first and last time in unix seconds (0 without rows)."""

    rows: int
    first: float
    last: float


def read_unit(source: TableSource, config: DatasetConfig) -> str:
    """The unit in which the dataset's files give the times of a table; "" if it is unknown."""
    names = config.file_columns(source.table, "timestamp")
    kinds = {group.columns[name] for group in source.own for name in names if name in group.columns}
    units = {UNIT_NAMES.get(kind.unit, "") if isinstance(kind, pa.TimestampType) else "" for kind in kinds}
    return units.pop() if len(units) == 1 else ""


def time_warnings(directory: Path, units: Mapping[str, str], now: float | None = None) -> tuple[str, ...]:
    """Sentences about implausible times of interactions and impressions; none for usual times.

    Args:
        directory: Holds the prepared tables.
        units: Table -> result of `read_unit`.
        now: The wall clock in unix seconds; None reads the clock.

    Raises:
        DatasetError: All times of a table fit another unit.
    """
    now = time.time() if now is None else now
    found: list[str] = []
    with duckdb.connect(config={"threads": 2, "memory_limit": "2GB"}) as connection:
        for table in TIMED_TABLES:
            times = f"SELECT epoch_us(timestamp) / 1e6 AS time FROM {parquet_scan(directory / f'{table}.parquet')}"
            connection.execute(f"CREATE VIEW {table} AS {times}")
            found += _warnings(connection, table, now, units[table])
    return tuple(found)


def _warnings(connection: duckdb.DuckDBPyConnection, table: str, now: float, read_as: str) -> list[str]:
    whole = _range(connection, table, "true")
    early = _range(connection, table, f"time < {EARLIEST_PLAUSIBLE!r}")
    late = _range(connection, table, f"time > {now + DAY!r}")
    found = []
    for part, where in ((early, "before 1990"), (late, "over a day past the wall clock")):
        error = unit_error(part.first, part.last, now, read_as) if part.rows else ""
        if error and part.rows == whole.rows:
            raise DatasetError(
                f"The log of {table} begins in {year(part.first)}, and all its {part.rows:,} times lie {where} "
                f"({_between(part)}): they fit {error}; write the column timestamp in the unit of its type."
            )
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


def _range(connection: duckdb.DuckDBPyConnection, table: str, condition: str) -> TimeRange:
    query = f"SELECT count(time), min(time), max(time) FROM {table} WHERE {condition}"
    rows, first, last = connection.execute(query).fetchall()[0]
    return TimeRange(rows, first or 0.0, last or 0.0)


def _between(part: TimeRange) -> str:
    first, last = date(part.first), date(part.last)
    return first if first == last else f"{first} to {last}"
