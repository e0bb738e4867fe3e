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
    """Reports values that are read as missing, in one scan of the rows.

    Args:
        connection: From `connect`.
        relation: SQL of the rows as `source`, with `filename` and `file_row_number`.
        place: SQL of the row's place in the table.
        checks: The columns to search.

    Raises:
        DatasetError: A value cannot be read; the first of the first such column is named.
    """
    if not checks:
        return
    conditions = [condition for check in checks for condition in (check.expression.bad, check.expression.missing)]
    sources = [check.expression.source for check in checks for _ in range(2)]
    picks = ", ".join(
        f"count(*) FILTER ({condition or 'false'}), arg_min([source.filename, CAST(source.file_row_number AS VARCHAR), "
        f"TRY(CAST({value} AS VARCHAR))], {place}) FILTER ({condition or 'false'})"
        for condition, value in zip(conditions, sources, strict=True)
    )
    found = connection.execute(f"SELECT {picks} FROM {relation}").fetchone() or ()
    for check, bad, number, missing in zip(checks, found[1::4], found[2::4], found[3::4], strict=True):
        if bad is not None:
            file, row, value = bad
            raise DatasetError(
                f"{file}: column '{check.column}' holds {value} in row {row} (counted from 0); "
                f"it must hold {check.expected}."
            )
        if missing is not None:
            file, row, value = missing
            say(
                f"{file}: column '{check.column}' holds {value} in row {row} (counted from 0), "
                f"{check.expression.words}; {number} of its values are such and are read as missing"
            )
