"""The sampled softmax: the probability of a candidate to be drawn, its sign, and what is no negative."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from components.retrieval import loss as module
from components.retrieval.config import TrainingConfig
from components.retrieval.loss import Moment, batch_loss, inclusion
from components.retrieval.model import TrainableTowers, TrainingData
from components.retrieval.towers import shapes, training_data
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.directory import FeaturesDirectory
from inference.models.encoder import TowerInputs

CONFIG = TrainingConfig(dimension=8, hidden=8, batch=64, num_uniform=10, least_examples=1, id_dropout=0.0)


@pytest.fixture(scope="module")
def data(shop_dirs: tuple[Path, Path]) -> TrainingData:
    tables, features = PreparedTables.open(shop_dirs[0]), FeaturesDirectory(shop_dirs[1])
    until = tables.split.test_start
    return training_data(tables, features.feature_set(), features.item_ids(), until, until, CONFIG)


def test_inclusion_is_the_share_of_draws_that_hold_an_item() -> None:
    rng = np.random.default_rng(0)
    shares = np.array([0.5, 0.3, 0.15, 0.05, 0.0, 0.0])
    alive = np.array([0, 1, 2, 3, 4], dtype=np.int32)
    moment = Moment(numeric=np.zeros((6, 1), dtype=np.float32), alive=alive, shares=shares)
    drawn = np.zeros(6)
    for _ in range(20_000):
        drawn[np.unique(np.concatenate([rng.choice(6, 4, p=shares), rng.choice(alive, 3)]))] += 1
    np.testing.assert_allclose(inclusion(np.arange(6), 4, 3, moment), drawn / 20_000, atol=0.012)


class FreeTowers:
    """Stands in for the networks: every item has a free score, whoever asks."""

    def __init__(self, num_items: int) -> None:
        self.scores = torch.zeros(num_items, requires_grad=True)

    def tensor(self, values: np.ndarray) -> torch.Tensor:
        found = torch.from_numpy(np.ascontiguousarray(values))
        return found.long() if found.dtype == torch.int32 else found

    def item_vectors(self, items: object, numeric: object, ids: object, rows: np.ndarray) -> torch.Tensor:
        return self.scores[torch.from_numpy(rows)][:, None]

    def user_vectors(self, inputs: TowerInputs, history: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(inputs.rows), 1)


def test_scores_become_log_popularity(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the correction is for: with a wrong sign, or without it, popular items would come out too low."""
    monkeypatch.setattr(module, "_no_negatives", lambda data, batch, candidates: np.zeros((len(batch), 1), dtype=bool))
    config = CONFIG.model_copy(update={"temperature": 1.0, "group_damping": 0.0})
    towers, rng = FreeTowers(len(data.items)), np.random.default_rng(0)
    everything = slice(0, data.examples.num_groups)
    moment = Moment.of(data, everything)
    optimiser = torch.optim.Adam([towers.scores], lr=0.05)
    for _ in range(800):
        batch = rng.choice(data.examples.num_groups, 40, replace=False)
        loss = batch_loss(towers, data, config, batch, moment, rng)  # type: ignore[arg-type]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    popular = np.flatnonzero(moment.shares > 0.004)
    slope, _ = np.polyfit(np.log(moment.shares[popular]), towers.scores.detach().numpy()[popular], 1)
    assert len(popular) > 30
    assert 0.8 < slope < 1.2


def test_what_the_user_chose_or_had_is_no_negative(data: TrainingData) -> None:
    batch = np.arange(data.examples.num_groups - 30, data.examples.num_groups)
    candidates = np.arange(len(data.items))
    masked = module._no_negatives(data, batch, candidates)
    log, examples = data.log, data.examples
    for place, group in enumerate(batch):
        user = examples.users[group]
        events = np.flatnonzero((log.users == user) & (log.cells <= examples.cells[group]))
        earlier = events[log.cells[events] < examples.cells[group]]
        expected = set(log.rows[events[len(earlier) :]]) | set(log.rows[earlier[-50:]])
        assert set(np.flatnonzero(masked[place])) == expected


def test_the_loss_falls_and_reaches_every_parameter(data: TrainingData) -> None:
    towers = TrainableTowers(shapes(data, CONFIG, 0.0), seed=0)
    parameters = [*towers.users.parameters(), *towers.items.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=0.01)
    rng, moment = np.random.default_rng(1), Moment.of(data, slice(0, data.examples.num_groups))
    losses = []
    for _ in range(30):
        batch = rng.choice(data.examples.num_groups, 64, replace=False)
        loss = batch_loss(towers, data, CONFIG, batch, moment, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.2
    assert all(parameter.grad is not None for parameter in parameters)
