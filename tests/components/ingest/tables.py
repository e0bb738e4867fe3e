"""What ingest made of a dataset, for tests that look at it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from components.ingest import ingest
from feature_repo.dataset.tables import PreparedTables
from tests.components.ingest.conftest import START

MICROSECONDS = pa.timestamp("us", tz="UTC")


def prepared(directory: Path, now: float | None = None) -> PreparedTables:
    out = directory.parent / "tables"
    ingest(directory, out, now)
    return PreparedTables.open(out)


def column(tables: PreparedTables, table: str, name: str) -> list:
    """A column in the order of the source rows."""
    read = tables.read(table, ["row", name]).sort_by("row")
    return read[name].to_pylist()


def with_column(table: pa.Table, name: str, values: object) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.append_column(name, values) if place < 0 else table.set_column(place, name, values)


def impressions(**columns: object) -> pa.Table:
    """Two impressions of one request and two of others, with more columns."""
    return pa.table(
        {
            "request_id": ["r1", "r1", "r2", "r3"],
            "user_id": ["u0", "u0", "u1", "u2"],
            "item_id": ["i0", "i1", "i0", "i2"],
            "timestamp": pa.array([START + timedelta(days=1)] * 4, MICROSECONDS),
            **columns,
        }
    )
