"""The moving average of the weights: its value, and the exchange with the weights of the towers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from components.retrieval.fitting.averaging import WeightAverage
from components.retrieval.model import TrainableTowers
from inference.networks.towers import TowersConfig

SHAPES = TowersConfig(5, (3,), 1, 0, (2,), 1, (2,), 4, 2, dimension=8, hidden=8)


def weights(towers: TrainableTowers) -> np.ndarray:
    every = [*towers.users.parameters(), *towers.items.parameters()]
    return torch.cat([weight.detach().ravel() for weight in every]).numpy().copy()


def test_the_average_is_what_its_formula_gives() -> None:
    towers = TrainableTowers(SHAPES, seed=0)
    average, expected = WeightAverage(towers, 0.5), weights(towers)
    rng = torch.Generator().manual_seed(0)
    for step in range(1, 20):
        with torch.no_grad():
            for weight in [*towers.users.parameters(), *towers.items.parameters()]:
                weight.add_(torch.randn(weight.shape, generator=rng))
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights(towers)
    last = weights(towers)
    with average.applied():
        assert weights(towers) == pytest.approx(expected, abs=1e-5)
    np.testing.assert_array_equal(weights(towers), last)
    average.swap()
    assert weights(towers) == pytest.approx(expected, abs=1e-5)
