"""Fits popularity and chooses its half-life, on the validation span and never on the test span."""

from __future__ import annotations

import numpy as np

from components.replay.events import Events
from feature_repo.dataset.split import DAY
from feature_repo.features.state import TimeArray
from inference.models.popularity import Popularity

HALF_LIVES = (0.5, 1.0, 2.0, 4.0, 7.0, 14.0, 30.0, 90.0)  # days
LIFE_SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0)  # half-lives where items live for hours
MOMENTS = 12  # of the validation span at which lists are compared where items live for hours
DEPTH = 100


def choose_half_life(
    events: Events, num_items: int, validation_start: float, test_start: float, item_life: float | None = None
) -> float:
    """The half-life whose lists gain most from the items that users choose in validation.

    A list is made at the validation start and asks about the whole span. Where items live for hours, lists are made at
    `MOMENTS` of the span, and each asks about the following life of an item. The gain of a choice is
    1 / log2(2 + rank) of its item in the first `DEPTH`, else 0 (the DCG of all choices).

    Args:
        events: All positive events.
        num_items: Size of the row map.
        validation_start: Start of the validation span, unix seconds.
        test_start: End of the validation span, unix seconds.
        item_life: Seconds where items are counted within a day; None where they are counted daily.

    Returns:
        Days; the middle of the range if the validation span is empty.
    """
    half_lives: tuple[float, ...] = HALF_LIVES
    moments = np.array([validation_start])
    if item_life is not None:
        half_lives = tuple(item_life / DAY * share for share in LIFE_SHARES)
        moments = np.linspace(validation_start, test_start, MOMENTS, endpoint=False)
    ends = np.minimum(moments + (item_life or np.inf), test_start)
    inside = (events.times >= validation_start) & (events.times < test_start)
    if not inside.any() or not (events.times < validation_start).any():
        return half_lives[len(half_lives) // 2]
    gains = np.zeros(len(half_lives))
    for moment, end in zip(moments.tolist(), ends.tolist(), strict=True):
        choices = _choices(events, num_items, moment, end)
        for place, half_life in enumerate(half_lives):
            gains[place] += _gain(choices, _decayed(events, num_items, moment, half_life))
    return half_lives[int(np.argmax(gains))]


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


def _choices(events: Events, num_items: int, start: float, end: float) -> TimeArray:
    """Number of users who chose each item in a span [m]."""
    first, last = np.searchsorted(events.times, [start, end])
    pairs = np.unique(events.users[first:last].astype(np.int64) * num_items + events.rows[first:last])
    return np.bincount(pairs % num_items, minlength=num_items).astype(np.float64)


def _decayed(events: Events, num_items: int, as_of: float, half_life_days: float) -> TimeArray:
    """Decayed events of each item before a time [m], the score of `Popularity`."""
    known = int(np.searchsorted(events.times, as_of))
    weights = np.exp2((events.times[:known] - as_of) / (half_life_days * DAY))
    return np.bincount(events.rows[:known], weights=weights, minlength=num_items).astype(np.float64, copy=False)


def _gain(choices: TimeArray, score: TimeArray) -> float:
    """The DCG of all choices under the order of a score."""
    rows = np.argsort(-score, kind="stable")[:DEPTH]
    return float(choices[rows] @ (1.0 / np.log2(2.0 + np.arange(len(rows)))))
