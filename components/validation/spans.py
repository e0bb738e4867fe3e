"""Checks that a log can train a ranker, before the long steps of a run begin."""

from __future__ import annotations

import numpy as np

from components.replay.groups import count_liked
from feature_repo.dataset.tables import PreparedTables
from feature_repo.errors import DatasetError


def require_positives(tables: PreparedTables) -> None:
    """Checks that the ranking span and the validation span hold positive events, counted as the training counts them.

    Args:
        tables: Clean prepared tables. With held-out items, which are the ranker's groups, the spans do not count.

    Raises:
        DatasetError: A span holds no positive event, or none on an item that may be recommended; names the span and its
            dates.
    """
    if tables.holds_out:
        return
    split = tables.split
    spans = {
        "rank": (split.rank_start, split.validation_start),
        "validation": (split.validation_start, split.test_start),
    }
    for name, (start, end) in spans.items():
        liked, allowed = count_liked(tables, start, end)
        span = f"the {name} span of the log ({_day(start)} to {_day(end)})"
        require(liked, f"{span} holds no positive event")
        require(
            allowed,
            f"every item that a user liked in {span} was the user's own before it, and recommend.repeats = "
            f"'{tables.config.recommend.repeats}' rules such items out",
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
