"""Probabilities of orders by enumeration, and which slates are usable."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from components.evaluation.impressions.slates import MOST_POSITIONS, LoggedSlates, place_probabilities
from tests.components.evaluation.impressions.slates import draw_slates


@pytest.mark.parametrize("length", [2, 3, 5])
def test_probabilities_of_places_are_those_of_all_orders(length: int) -> None:
    propensities = np.random.default_rng(length).uniform(0.05, 0.6, (4, length))
    found = place_probabilities(propensities)
    for slate, drawn in enumerate(propensities):
        weights = drawn * np.concatenate(([1.0], np.cumprod(1 - drawn)[:-1]))
        expected, total = np.zeros((length, length)), 0.0
        for order in permutations(range(length)):
            chance, left = 1.0, 1.0
            for item in order:
                chance, left = chance * weights[item] / left, left - weights[item]
            total += chance
            for place, item in enumerate(order):
                expected[item, place] += chance
        np.testing.assert_allclose(found[slate], expected / total, atol=1e-12)


def test_small_propensities_put_every_item_anywhere() -> None:
    found = place_probabilities(np.full((1, 10), 1e-6))
    np.testing.assert_allclose(found, 0.1, atol=1e-4)
    assert place_probabilities(np.zeros((0, 4))).shape == (0, 4, 4)


def test_slates_with_gaps_or_without_chance_are_left_out() -> None:
    slates = draw_slates(0, num_users=1).slates
    assert [block.shape for block in slates.blocks()] == [(8, 6)]
    positions, propensities = slates.positions.copy(), slates.propensities.copy()
    positions[2] = 9  # a gap in the first slate
    propensities[6], propensities[13] = np.nan, 1.0  # of the second and the third
    (block,) = replace(slates, positions=positions, propensities=propensities).blocks()
    assert slates.slates[block[:, 0]].tolist() == [3, 4, 5, 6, 7]
    np.testing.assert_array_equal(slates.positions[block], np.tile(np.arange(6), (5, 1)))


def test_long_slates_count_with_their_first_positions() -> None:
    num = MOST_POSITIONS + 5
    zeros = np.zeros(num, dtype=np.int64)
    order = np.arange(num, dtype=np.int32)[::-1]
    slates = LoggedSlates(zeros, zeros, order, np.full(num, 0.1), zeros.astype(np.int8))
    (block,) = slates.blocks()
    np.testing.assert_array_equal(slates.positions[block], [np.arange(MOST_POSITIONS)])
    assert replace(slates, propensities=np.full(num, np.nan)).blocks() == []
