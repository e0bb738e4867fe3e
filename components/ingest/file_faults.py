"""Finds the file and the value that stopped a query over a table, after the query failed.

DuckDB names neither the file nor the row of a damaged page or of a value that it cannot convert.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from components.ingest.sources import TableSource, one_line, open_parquet

MOST_MILLISECONDS, LAST_YEAR = (2**63 - 1) // 1000, 294_246  # of times in microseconds


@dataclass(frozen=True, slots=True)
class FileFault:
    """A file that cannot be read, and the sentence about it."""

    path: Path
    sentence: str


def find_fault(source: TableSource, error: duckdb.Error) -> FileFault | None:
    """The first file of a source that explains a failed query; None if every file can be read."""
    found = _far_time(source) if isinstance(error, duckdb.ConversionException) else None
    return found or _damage(source, error)


def _damage(source: TableSource, error: duckdb.Error) -> FileFault | None:
    for group in source.groups:
        for file in group.files:
            try:
                with open_parquet(file.path) as parquet:
                    for batch in parquet.iter_batches(columns=list(group.columns)):
                        for name, column in zip(batch.schema.names, batch.columns, strict=True):
                            if not _is_text(column):
                                words = f"column '{name}' holds text that is not UTF-8: export the file again in UTF-8"
                                return FileFault(file.path, f"{file.path} cannot be read: {words}.")
            except (pa.ArrowException, OSError):
                return FileFault(file.path, f"{file.path} cannot be read: {one_line(error)}.")
    return None


def _is_text(column: pa.Array) -> bool:
    """Whether every text of a column is UTF-8, which pyarrow does not check while it reads, unlike DuckDB."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _far_time(source: TableSource) -> FileFault | None:
    """A time in milliseconds that does not fit into microseconds."""
    for group in source.groups:
        columns = [name for name, kind in group.columns.items() if types.is_timestamp(kind) and kind.unit == "ms"]
        for file, column in product(group.files, columns):
            with open_parquet(file.path) as parquet:
                counts = parquet.read([column])[column].cast(pa.int64())
            far = pc.greater(pc.abs(pc.divide(counts, 2)), MOST_MILLISECONDS // 2)
            row = pc.index(far, True).as_py()
            if row >= 0:
                return FileFault(
                    file.path,
                    f"{file.path}: column '{column}' holds a time beyond the year {LAST_YEAR:,} in row {row} "
                    "(counted from 0); remove that value, or write the column in microseconds.",
                )
    return None
