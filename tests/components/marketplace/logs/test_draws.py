"""The draws follow their weights."""

from __future__ import annotations

import numpy as np
import pytest

from components.marketplace.logs.draws import best, drawn, long_tailed


def test_columns_are_drawn_in_proportion_to_their_weights() -> None:
    weights = np.tile(np.array([0.0, 3.0, 0.0, 1.0, 0.0], dtype=np.float32), (40_000, 1))
    share = np.bincount(drawn(np.random.default_rng(0), weights), minlength=5) / len(weights)
    assert share[[0, 2, 4]].tolist() == [0, 0, 0]
    assert share[1] == pytest.approx(0.75, abs=0.01)


def test_the_best_columns_come_in_the_order_of_their_weights() -> None:
    weights = np.random.default_rng(0).random((50, 30))
    assert np.array_equal(best(weights, 7), np.argsort(-weights, axis=1)[:, :7])
    assert best(weights, 100).shape == (50, 30)


def test_long_tailed_numbers_keep_their_mean_and_bounds() -> None:
    numbers = long_tailed(np.random.default_rng(0), 5_000, 100.0, 1.0, (20, 900))
    assert numbers.mean() == pytest.approx(100.0, abs=1.0)
    assert numbers.min() == 20
    assert numbers.max() <= 900
    assert np.median(numbers) < 80
