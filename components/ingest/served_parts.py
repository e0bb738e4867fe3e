"""Decides which parts of the served log can be read, so that a bad part never stops a run.

Servers check each event, but anything may write to the folder of a log. A part that is damaged, lacks a required column
or has a column of another type is left out as a whole, and reported. The dataset's own files are refused instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from components.ingest.reading.expressions import EXPECTED, read_column
from feature_repo.dataset.contract import CONTRACT_COLUMNS, REQUIRED_COLUMNS
from feature_repo.progress import say

NUM_NAMED = 3
RESERVED_SOURCE_COLUMNS = ("filename", "file_row_number", "file_index")  # names that DuckDB adds to the rows of a file


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part of the log that is not read, and why."""

    path: Path
    reason: str


def fault_of(table: str, schema: pa.Schema) -> str:
    """Why a part with this schema cannot be read as rows of a table, "" if it can."""
    for name in REQUIRED_COLUMNS[table]:
        if name not in schema.names:
            return f"it has no column '{name}'"
    plain = [name.lower() for name in schema.names]  # DuckDB does not distinguish upper and lower case
    for name in RESERVED_SOURCE_COLUMNS:
        if name in plain:
            return f"it has a column '{name}', a reserved name"
    for name, reading in CONTRACT_COLUMNS[table].items():
        if plain.count(name) > 1:
            return f"it has several columns '{name}'"
        if name in schema.names and read_column(name, schema.field(name).type, reading) is None:
            return f"its column '{name}' is of type {schema.field(name).type}, not {EXPECTED[reading]}"
    return ""


def report_left_out(table: str, parts: Sequence[LeftOut]) -> None:
    """Says how many parts of a table are left out, and names the first ones."""
    if parts:
        named = "; ".join(f"{part.path}: {part.reason}" for part in parts[:NUM_NAMED])
        more = f"; and {len(parts) - NUM_NAMED:,} more" if len(parts) > NUM_NAMED else ""
        which = "1 part" if len(parts) == 1 else f"{len(parts):,} parts"
        say(f"the log of {table}: {which} cannot be read and will be left out, repair or remove: {named}{more}")
