"""What a log must hold for a ranker to be trained on it; asked before the long steps, not after them."""

from __future__ import annotations

import numpy as np

from feature_repo.dataset.tables import PreparedTables, unix_seconds
from feature_repo.errors import DatasetError


def require_positives(tables: PreparedTables) -> None:
    """Refuses a log in which nothing was liked in the ranking span or in the validation span.

    Args:
        tables: Clean prepared tables.

    Raises:
        DatasetError: Says which span is empty and when it lies.
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
    """Refuses a log that no ranker can be trained on, with what it lacks."""
    if not given:
        raise DatasetError(
            f"{otherwise}, so there is nothing to train a ranker on: give it a longer log, or other [split] spans in "
            "dataset.toml"
        )


def _day(time: float) -> str:
    return str(np.datetime64(int(time), "s"))
