"""Converts prepared tables to the input of TFDV: a list array per column, times as numbers, without empty columns.

Runs in the TFDV environment (pyarrow 10), so it uses only the standard library, numpy, pyarrow and pydantic. TFDV
silently drops timestamps; each timestamp becomes an age in days, and the event time also becomes hour and weekday.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.dataset.split import DAY_MICROSECONDS

MAXIMUM_ROWS = 1_000_000
EVENT_TIME = "timestamp"
DERIVED_COLUMNS = ("row", "row_hash", "grade")


def read_sample(path: Path, maximum: int = MAXIMUM_ROWS) -> tuple[pa.Table, int]:
    """At most `maximum` evenly spaced rows of a Parquet file, read with bounded memory, and its number of rows."""
    file = pq.ParquetFile(path)
    num_rows: int = file.metadata.num_rows
    stride = max(-(-num_rows // maximum), 1)
    if stride == 1:
        return file.read(), num_rows
    parts, before = [], 0
    for batch in file.iter_batches():
        parts.append(pa.Table.from_batches([batch]).take(pa.array(np.arange(-before % stride, batch.num_rows, stride))))
        before += batch.num_rows
    return pa.concat_tables(parts), num_rows


def present(table: pa.Table, log_end: float) -> dict[str, pa.Array]:
    """The columns with at least one value, as text, int64 or float64.

    Args:
        table: A prepared table.
        log_end: Unix seconds from which ages are counted.
    """
    columns: dict[str, pa.Array] = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # pyarrow returns a chunked array if there is no chunk
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
        if name in DERIVED_COLUMNS or column.null_count == len(column):
            continue
        if pa.types.is_timestamp(column.type):
            columns |= _times(name, column, log_end)
        elif pa.types.is_boolean(column.type) or pa.types.is_integer(column.type):
            columns[name] = column.cast(pa.int64())
        else:
            columns[name] = column.cast(pa.float64() if pa.types.is_floating(column.type) else pa.string())
    return columns


def record_batch(columns: dict[str, pa.Array], rows: npt.NDArray[np.bool_] | None = None) -> pa.RecordBatch:
    """Columns as list arrays for TFDV, all rows or the rows of a mask [n]; a missing value is a null list."""
    chosen = columns if rows is None else {name: column.filter(pa.array(rows)) for name, column in columns.items()}
    return pa.RecordBatch.from_arrays([_as_lists(column) for column in chosen.values()], list(chosen))


def unix_seconds(table: pa.Table) -> npt.NDArray[np.float64]:
    """Event times of a prepared table as unix seconds [n]; null is NaN."""
    micros = table[EVENT_TIME].cast(pa.int64()).cast(pa.float64(), safe=False)
    return np.asarray(micros.to_numpy(), dtype=np.float64) / 1e6


def _times(name: str, column: pa.Array, log_end: float) -> dict[str, pa.Array]:
    micros = column.cast(pa.int64())
    ages = pc.divide(pc.subtract(log_end * 1e6, micros.cast(pa.float64(), safe=False)), float(DAY_MICROSECONDS))
    columns = {f"{name}_age_days": ages}
    if name == EVENT_TIME:
        columns |= {f"{name}_hour": pc.hour(column), f"{name}_weekday": pc.day_of_week(column)}
    return columns


def _as_lists(column: pa.Array) -> pa.Array:
    known = np.asarray(column.is_valid().to_numpy(zero_copy_only=False))
    offsets = np.zeros(len(column) + 1, dtype=np.int32)
    np.cumsum(known, out=offsets[1:])
    missing = np.append(~known, False)
    return pa.ListArray.from_arrays(pa.array(offsets, mask=missing), column.drop_null())
