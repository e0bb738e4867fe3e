"""How many places the validation span gives to items without an event."""

from __future__ import annotations

import numpy as np

from components.ranking.judging import JudgedQueries
from components.ranking.order.cold_places import EVERY, choose_cold_places
from inference.models.cold_places import ColdPlaces

GROUPS, ROWS, KNOWN = 50, 200, 150  # candidates of a query, the known ones first


def judged(relevant: list[int], *, known_cold: bool = True) -> JudgedQueries:
    """Queries that all like the candidates with these places."""
    mask = np.zeros((GROUPS, ROWS), dtype=np.bool_)
    mask[:, relevant] = True
    return JudgedQueries(
        features=np.zeros((GROUPS * ROWS, 1), dtype=np.float32),
        relevant=mask.ravel(),
        offsets=np.arange(GROUPS + 1, dtype=np.int64) * ROWS,
        num_relevant=np.full(GROUPS, len(relevant)),
        user_ids=np.array([f"u{number}" for number in range(GROUPS)], dtype=object),
        cold=np.tile(np.arange(ROWS) >= KNOWN, GROUPS) if known_cold else None,
    )


def scores() -> np.ndarray:
    """Known items before those without an event, each in order."""
    return np.tile(-np.arange(ROWS, dtype=np.float64), GROUPS)


def test_places_that_cost_nothing_get_the_largest_share() -> None:
    assert choose_cold_places(judged([0, 5, 30, KNOWN + 3]), scores()) == ColdPlaces(after=20, every=EVERY[0])


def test_places_that_push_liked_items_out_get_a_smaller_share() -> None:
    # At every 8th place, 10 new items push the known items from place 90 on out of the first 100.
    assert choose_cold_places(judged([0, 89, KNOWN + 40]), scores()) == ColdPlaces(after=20, every=8)
    assert choose_cold_places(judged([0, 99, KNOWN + 40]), scores()) == ColdPlaces(after=20, every=EVERY[-1])


def test_no_places_where_nobody_liked_an_item_without_an_event() -> None:
    assert choose_cold_places(judged([0, 30]), scores()) is None
    assert choose_cold_places(judged([0, KNOWN + 1], known_cold=False), scores()) is None
