"""Searches source columns for values that cannot be read, which refuse the file, and for values read as missing.

The sentence about either names file, column and row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from components.ingest.reading.expressions import Expression
from feature_repo.errors import DatasetError
from feature_repo.progress import say


@dataclass(frozen=True)
class Check:
    """A source column with the expected values, and the expression whose conditions find the other values."""

    column: str
    expected: str
    expression: Expression


def check_values(connection: duckdb.DuckDBPyConnection, relation: str, place: str, checks: Sequence[Check]) -> None:
    """Reports values that are read as missing.

    One scan counts the values; only a value that is found costs another scan, which shows the first of its kind.

    Args:
        connection: From `connect`.
        relation: SQL of the rows as `source`, with `filename` and `file_row_number`.
        place: SQL of the row's place in the table.
        checks: The columns to search.

    Raises:
        DatasetError: A value cannot be read; the first of the first such column is named.
    """
    searches = [
        (check, condition, is_bad)
        for check in checks
        for condition, is_bad in ((check.expression.bad, True), (check.expression.missing, False))
        if condition is not None
    ]
    if not searches:
        return
    counts = ", ".join(f"count(*) FILTER ({condition})" for _, condition, _ in searches)
    numbers = connection.execute(f"SELECT {counts} FROM {relation}").fetchone() or ()
    for (check, condition, is_bad), number in zip(searches, numbers, strict=True):
        if not number:
            continue
        ((file, row, value),) = connection.execute(
            f"SELECT source.filename, source.file_row_number, TRY(CAST({check.expression.source} AS VARCHAR)) "
            f"FROM {relation} WHERE {condition} ORDER BY {place} LIMIT 1"
        ).fetchall()
        found = f"{file}: column '{check.column}' holds {value} in row {row} (counted from 0)"
        if is_bad:
            raise DatasetError(f"{found}; it must hold {check.expected}.")
        say(f"{found}, {check.expression.words}; {number} of its values are such and are read as missing")
