"""SQL conditions of the values that set a row aside, for figures that ingest needs before the row rules run.

`components/validation/rows/rules.py` applies the same bounds and forms (`feature_repo/dataset/values.py`).
"""

from __future__ import annotations

from components.ingest.reading.expressions import quoted
from feature_repo.dataset.contract import REQUIRED_COLUMNS, TIMED_TABLES
from feature_repo.dataset.values import CONTROL_CHARACTERS, number_bounds, text_lengths
from feature_repo.storage.quoting import literal


def unusable_text(column: str, most: int) -> str:
    """SQL condition of an id or context value that no part can use; null for a null value."""
    name = quoted(column)
    return f"(length({name}) > {most} OR regexp_matches({name}, {literal(CONTROL_CHARACTERS)}))"


def unusable_values(table: str) -> dict[str, str]:
    """The fault in words -> SQL condition, null for a null value; without missing values and unknown event types."""
    faults = {}
    for column, most in text_lengths(table).items():
        if column in REQUIRED_COLUMNS[table]:
            faults[f"{column} has over {most} characters or a control character"] = unusable_text(column, most)
    for column, bounds in number_bounds(table).items() if table in TIMED_TABLES else ():
        name = quoted(column)
        if bounds.least == 0:
            faults[f"{column} is below zero"] = f"{name} < 0"
            faults[f"{column} is above {bounds.greatest:g}"] = f"{name} > {bounds.greatest}"
        else:
            faults[f"{column} is not {bounds}"] = f"({name} < {bounds.least} OR {name} > {bounds.greatest})"
    return faults
