"""Checks that a log can train a ranker, before the long steps of a run begin."""

from __future__ import annotations

import numpy as np

from feature_repo.dataset.tables import PreparedTables, unix_seconds
from feature_repo.errors import DatasetError


def require_positives(tables: PreparedTables) -> None:
    """Checks that the ranking span and the validation span hold positive events.

    Args:
        tables: Clean prepared tables.

    Raises:
        DatasetError: A span holds no positive event; names the span and its dates.
    """
    split = tables.split
    names = ("impressions", "interactions") if tables.has_sessions else ("impressions",)
    found = [tables.read(name, ["timestamp", "grade"]) for name in names]
    times = np.concatenate([unix_seconds(table["timestamp"])[table["grade"].to_numpy() > 0] for table in found])
    spans = {
        "rank": (split.rank_start, split.validation_start),
        "validation": (split.validation_start, split.test_start),
    }
    for name, (start, end) in spans.items():
        require(
            ((times >= start) & (times < end)).any(),
            f"the {name} span of the log ({_day(start)} to {_day(end)}) holds no positive event",
        )


def require(given: object, otherwise: str) -> None:
    """Raises DatasetError with the reason `otherwise` unless `given` is true."""
    if not given:
        raise DatasetError(
            f"The ranker cannot be trained, because {otherwise}: provide a longer log, or other [split] spans in "
            "dataset.toml."
        )


def _day(time: float) -> str:
    return str(np.datetime64(int(time), "s"))
