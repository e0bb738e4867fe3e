"""The gradient of a step: the same in one shard and in several, and the one of the loss itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from components.retrieval.config import TrainingConfig
from components.retrieval.fitting.gradients import set_gradients
from components.retrieval.fitting.loss import Moment, TrainingStep, shard_loss
from components.retrieval.fitting.workers import Workers
from components.retrieval.model import TrainableTowers, TrainingData
from components.retrieval.sequences import HistoryWindows, windows_of
from components.retrieval.towers import shapes
from feature_repo.features.state import HISTORY_LENGTH
from tests.components.retrieval.shop_data import data_until

CONFIG = TrainingConfig(dimension=8, hidden=8, num_uniform=20, dropout=0.0, id_dropout=0.0, context_dropout=0.0)


@pytest.fixture(scope="module")
def data(shop_dirs: tuple[Path, Path]) -> TrainingData:
    return data_until(shop_dirs, "rank_start", CONFIG)


@pytest.fixture(scope="module")
def windows(data: TrainingData) -> HistoryWindows:
    return windows_of(data.log, data.examples.positions, HISTORY_LENGTH)


@pytest.fixture(scope="module")
def moment(data: TrainingData) -> Moment:
    return Moment.of(data, data.examples.positions)


def randomised(data: TrainingData, config: TrainingConfig) -> TrainableTowers:
    """Towers without weights of 0, which would hide the gradients of others."""
    towers = TrainableTowers(shapes(data, config, 0.0), seed=0)
    for tower in (towers.users, towers.items):
        for parameter in tower.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return towers


def gradients(towers: TrainableTowers) -> dict[str, torch.Tensor]:
    named = [*towers.users.named_parameters("users"), *towers.items.named_parameters("items")]
    return {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}


@pytest.mark.parametrize("num_shards", [1, 2, 3, 40])
def test_shards_have_the_gradient_of_the_whole_step(
    data: TrainingData, windows: HistoryWindows, moment: Moment, num_shards: int
) -> None:
    towers, step = randomised(data, CONFIG), windows.take(np.arange(20))
    whole = TrainingStep.draw(data, CONFIG, step, moment, np.random.default_rng(0), 1)
    vectors = towers.item_vectors(data.items, moment.numeric, whole.ids, whole.items)
    expected = shard_loss(towers, data, CONFIG, whole, whole.shards[0], vectors, None)
    expected.backward()
    of_whole = gradients(towers)
    batch = TrainingStep.draw(data, CONFIG, step, moment, np.random.default_rng(0), num_shards)
    assert len(batch.shards) == min(num_shards, 20)
    assert sum(len(shard.targets) for shard in batch.shards) == len(whole.shards[0].targets)
    randoms = [torch.Generator().manual_seed(number) for number in range(num_shards)]
    with Workers(2) as workers:
        loss = set_gradients(towers, data, CONFIG, batch, moment, randoms, workers)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    found = gradients(towers)
    assert found.keys() == of_whole.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, of_whole[name], atol=1e-5, rtol=1e-3, msg=name)


def test_each_shard_has_separate_dropout(data: TrainingData, windows: HistoryWindows, moment: Moment) -> None:
    """The gradient depends on the generators alone, not on the thread that is first."""
    config = CONFIG.model_copy(update={"dropout": 0.5})
    towers, step = randomised(data, config), windows.take(np.arange(20))
    found = []
    for num_threads, seed in ((1, 0), (2, 0), (2, 7)):
        batch = TrainingStep.draw(data, config, step, moment, np.random.default_rng(0), 2)
        randoms = [torch.Generator().manual_seed(seed + number) for number in range(2)]
        with Workers(num_threads) as workers:
            set_gradients(towers, data, config, batch, moment, randoms, workers)
        found.append(gradients(towers)["users.history.items.weight"])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
