"""Writes small prepared tables from rows given as dictionaries, so that a test shows just the columns it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.description import Origin, describe_tables
from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.contract import TABLES
from feature_repo.dataset.tables import DESCRIPTION_FILE, SORT_KEYS, table_schema
from feature_repo.storage.files import read_json, write_json, write_parquet

START = datetime(2026, 3, 1, tzinfo=UTC)
Row = Mapping[str, Any]


def config(**sections: Any) -> DatasetConfig:
    """A configuration with clicks and purchases as objectives and returns as negative."""
    base = {
        "name": "shop",
        "objectives": {"click": ["click"], "convert": ["purchase"]},
        "events": {"negative": ["return"]},
    }
    return DatasetConfig.model_validate({**base, **sections})


def event(number: int, **changes: Any) -> dict[str, Any]:
    """A clean click; user, item and time follow from `number` (one event an hour)."""
    row: dict[str, Any] = {
        "event_id": f"e{number}",
        "user_id": f"u{number % 7}",
        "item_id": f"i{number % 11}",
        "event_type": "click",
        "timestamp": START + timedelta(hours=number),
        "price": 5.0 + number % 3,
        "country": ("SE", "IN")[number % 2],
    }
    return {**row, **changes}


def write_prepared(directory: Path, settings: DatasetConfig, **rows: Sequence[Row]) -> Path:
    """Writes a prepared directory; a `row_hash` stands for equal rows unless the row brings its own."""
    schemas = {table: table_schema(table, settings) for table in TABLES}
    tables = {}
    for table in TABLES:
        filled = []
        for number, row in enumerate(rows.get(table, ())):
            same = hash(tuple(sorted((key, str(value)) for key, value in row.items()))) & (2**63 - 1)
            grade = (
                {"grade": settings.event_grades.get(str(row.get("event_type")), 0)}
                if "grade" in schemas[table].names
                else {}
            )
            filled.append({"row": number, "row_hash": same, **grade, **row})
        keys = [(key, "ascending", "at_start") for key in SORT_KEYS[table]]
        tables[table] = pa.Table.from_pylist(filled, schema=schemas[table])
        order = pc.sort_indices(tables[table], sort_keys=keys)
        write_parquet(directory / f"{table}.parquet", tables[table].take(order))
    origin = Origin(
        fingerprint="0" * 64,
        label_sources=dict.fromkeys(settings.objective_names, "column"),
        num_own={table: len(rows.get(table, ())) for table in TABLES},
    )
    describe_tables(directory, settings, origin)
    return directory


def make_served(directory: Path, **num_own: int) -> None:
    """Says of a prepared directory that the rows of a table from a number on are those of a served log."""
    path = directory / DESCRIPTION_FILE
    description = read_json(path)
    write_json(path, {**description, "num_own": {**description["num_own"], **num_own}})
