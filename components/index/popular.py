"""Fits popularity and chooses its half-life, on the validation span and never on the test span."""

from __future__ import annotations

import numpy as np

from components.replay.events import Events
from inference.models.popularity import Popularity

HALF_LIVES = (0.5, 1.0, 2.0, 4.0, 7.0, 14.0, 30.0, 90.0)  # days
DEPTH = 100


def choose_half_life(events: Events, num_items: int, validation_start: float, test_start: float) -> float:
    """The half-life whose list at the validation start gains most from the items that users choose in validation.

    The gain of a choice is 1 / log2(2 + rank) of its item in the first `DEPTH`, else 0 (the DCG of all choices).

    Args:
        events: All positive events.
        num_items: Size of the row map.
        validation_start: Start of the validation span, unix seconds.
        test_start: End of the validation span, unix seconds.

    Returns:
        Days; the middle of the range if the validation span is empty.
    """
    inside = (events.times >= validation_start) & (events.times < test_start)
    if not inside.any() or not (events.times < validation_start).any():
        return HALF_LIVES[len(HALF_LIVES) // 2]
    pairs = np.unique(events.users[inside].astype(np.int64) * num_items + events.rows[inside])
    choices = np.bincount(pairs % num_items, minlength=num_items)
    discounts = 1.0 / np.log2(2.0 + np.arange(min(DEPTH, num_items)))
    gains = []
    for half_life in HALF_LIVES:
        rows, _ = fit_popularity(events, num_items, validation_start, half_life).top(None, DEPTH)
        gains.append(float(choices[rows] @ discounts[: len(rows)]))
    return HALF_LIVES[int(np.argmax(gains))]


def fit_popularity(events: Events, num_items: int, as_of: float, half_life_days: float) -> Popularity:
    """Popular lists from the events before a time."""
    return Popularity.fit(
        events.rows,
        events.times,
        events.countries,
        events.grades,
        num_items=num_items,
        as_of=as_of,
        half_life_days=half_life_days,
    )
