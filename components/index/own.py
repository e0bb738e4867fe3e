"""Chooses the half-life of a user's own items, on the validation span and never on the test span."""

from __future__ import annotations

import numpy as np

from components.replay.events import Events
from feature_repo.features.ages import decayed_count
from feature_repo.features.state import FloatArray

HALF_LIVES = (1.0, 3.0, 7.0, 15.0, 30.0, 60.0, 120.0)  # days
DEFAULT = 30.0
DEPTH = 20


def choose_own_half_life(
    events: Events,
    num_items: int,
    validation_start: float,
    test_start: float,
    popularity: FloatArray,
) -> float:
    """The half-life whose order of own items gains most from the items that users repeat in the validation span.

    The gain of a repeated item is 1 / log2(2 + rank) among its user's own items, and 0 beyond rank `DEPTH`.

    Args:
        events: All positive events.
        num_items: Size m of the row map.
        validation_start: Start of the validation span, unix seconds.
        test_start: End of the validation span, unix seconds.
        popularity: Decayed events of each item at the validation start [m], the weights that `OwnSource` uses.

    Returns:
        Days; `DEFAULT` if no item is repeated.
    """
    keys = events.users.astype(np.int64) * num_items + events.rows
    before = events.times < validation_start
    span = (events.times >= validation_start) & (events.times < test_start)
    own, place, counts = np.unique(keys[before], return_inverse=True, return_counts=True)
    repeated = np.isin(own, keys[span])
    if not repeated.any():
        return DEFAULT
    first, last = np.full(len(own), np.inf), np.full(len(own), -np.inf)
    np.minimum.at(first, place, events.times[before])
    np.maximum.at(last, place, events.times[before])
    users, rows = np.divmod(own, num_items)
    starts = np.searchsorted(users, users)
    now = np.full(len(own), validation_start)
    gains = []
    for half_life in HALF_LIVES:
        faded = decayed_count(counts.astype(np.float32), first, last, now, half_life)
        order = np.lexsort((-faded * np.sqrt(1.0 + popularity[rows]), users))
        rank = np.arange(len(order)) - starts
        gained = np.where(rank < DEPTH, 1.0 / np.log2(2.0 + rank), 0.0)
        gains.append(float(gained @ repeated[order]))
    return HALF_LIVES[int(np.argmax(gains))]
