"""The sampled softmax: the probability of a candidate to be drawn, its sign, and what is no negative."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from components.retrieval.config import TrainingConfig
from components.retrieval.fitting import loss as module
from components.retrieval.fitting.loss import Moment, TrainingStep, inclusion, shard_loss
from components.retrieval.model import TrainableTowers, TrainingData, WindowInputs, user_inputs, window_inputs
from components.retrieval.questions import Questions
from components.retrieval.sequences import HistoryWindows, windows_of
from components.retrieval.towers import shapes
from feature_repo.features.state import HISTORY_LENGTH
from tests.components.retrieval.shop_data import data_until

CONFIG = TrainingConfig(dimension=8, hidden=8, batch=64, num_uniform=10, least_examples=1, id_dropout=0.0)


@pytest.fixture(scope="module")
def data(shop_dirs: tuple[Path, Path]) -> TrainingData:
    return data_until(shop_dirs, "test_start", CONFIG)


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

    def query_vectors(self, inputs: WindowInputs, history: torch.Tensor, random: object) -> torch.Tensor:
        return torch.ones(len(inputs.known), 1)


def batch_loss(
    towers: TrainableTowers | FreeTowers,
    data: TrainingData,
    config: TrainingConfig,
    windows: HistoryWindows,
    moment: Moment,
    rng: np.random.Generator,
) -> torch.Tensor:
    """The loss of a step in one shard."""
    batch = TrainingStep.draw(data, config, windows, moment, rng, num_shards=1)
    vectors = towers.item_vectors(data.items, moment.numeric, batch.ids, batch.items)
    return shard_loss(towers, data, config, batch, batch.shards[0], vectors, None)  # type: ignore[arg-type]


def all_windows(data: TrainingData) -> HistoryWindows:
    return windows_of(data.log, data.examples.positions, HISTORY_LENGTH)


def test_scores_become_log_popularity(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the correction is for: with a wrong sign, or without it, popular items would come out too low."""
    monkeypatch.setattr(
        module, "_no_negatives", lambda data, windows, asked, rows: np.zeros((len(asked.positions), 1), dtype=bool)
    )
    config = CONFIG.model_copy(update={"temperature": 1.0, "num_shared": 30})
    data = replace(data, examples=replace(data.examples, weights=np.sign(data.examples.weights)))
    towers, rng = FreeTowers(len(data.items)), np.random.default_rng(0)
    windows, moment = all_windows(data), Moment.of(data, data.examples.positions)
    optimiser = torch.optim.Adam([towers.scores], lr=0.05)
    for _ in range(800):
        batch = windows.take(rng.choice(len(windows), 8, replace=False))
        loss = batch_loss(towers, data, config, batch, moment, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    popular = np.flatnonzero(moment.shares > 0.004)
    slope, _ = np.polyfit(np.log(moment.shares[popular]), towers.scores.detach().numpy()[popular], 1)
    assert len(popular) > 30
    assert 0.8 < slope < 1.2


def test_what_the_user_chose_is_no_negative(data: TrainingData) -> None:
    windows, log = all_windows(data).take(np.arange(5)), data.log
    asked = Questions.of(data, windows, 0.5, np.random.default_rng(0))
    candidates = np.arange(len(data.items))
    masked = module._no_negatives(data, windows, asked, candidates)
    repeated = replace(data, feature_set=data.feature_set.model_copy(update={"repeats": "always"}))
    in_cell = module._no_negatives(repeated, windows, asked, candidates)
    for place, (window, position) in enumerate(zip(asked.windows, asked.positions, strict=True)):
        read = log.rows[windows.starts[window] : windows.stops[window]]
        assert set(np.flatnonzero(masked[place])) == set(read)
        same = (log.users == log.users[position]) & (log.cells == log.cells[position])
        assert set(np.flatnonzero(in_cell[place])) == set(log.rows[same])


def test_later_items_are_negatives_where_only_the_next_event_is_asked_for(data: TrainingData) -> None:
    data = replace(data, horizon=0.0)
    windows, log = all_windows(data).take(np.arange(5)), data.log
    asked = Questions.of(data, windows, 0.5, np.random.default_rng(0))
    np.testing.assert_array_equal(asked.times, log.times[asked.positions])
    candidates = np.arange(len(data.items))
    masked = module._no_negatives(data, windows, asked, candidates)
    repeated = replace(data, feature_set=data.feature_set.model_copy(update={"repeats": "always"}))
    again = module._no_negatives(repeated, windows, asked, candidates)
    for place, (window, position) in enumerate(zip(asked.windows, asked.positions, strict=True)):
        known = log.rows[windows.starts[window] : position + 1]
        assert set(np.flatnonzero(masked[place])) == set(known)
        assert np.flatnonzero(again[place]).tolist() == [log.rows[position]]


def test_questions_are_asked_at_the_event_or_within_the_horizon(data: TrainingData) -> None:
    windows, log = all_windows(data), data.log
    following = Questions.of(data, windows, 0.0, np.random.default_rng(0))
    np.testing.assert_array_equal(following.times, log.times[following.positions])
    np.testing.assert_array_equal(following.known, following.positions - windows.starts[following.windows])
    assert sorted(following.positions) == data.examples.positions.tolist()
    early = Questions.of(data, windows, 1.0, np.random.default_rng(0))
    waits = log.times[early.positions] - early.times
    assert (waits >= 0).all()
    assert 0.4 * data.horizon < waits.mean() < 0.6 * data.horizon
    for question in range(0, len(early.times), 7):
        start = windows.starts[early.windows[question]]
        known = log.times[start : start + early.known[question]]
        assert (known < early.times[question]).all()
        following_event = log.times[start + early.known[question]]
        assert following_event >= early.times[question] or early.known[question] == 0


def test_a_window_asks_what_serving_would_ask(data: TrainingData) -> None:
    """The vector of a question in a window, and of the same user and history alone, are equal."""
    windows = all_windows(data)
    asked = Questions.of(data, windows, 0.5, np.random.default_rng(1))
    towers = TrainableTowers(shapes(data, CONFIG, 0.0), seed=0)
    embeddings = torch.from_numpy(towers.embed_items(data.items, data.item_index, data.log.times.max()))
    inputs = window_inputs(data, windows, asked)
    ends = windows.starts[asked.windows] + asked.known
    users = data.log.users[asked.positions]
    alone = user_inputs(data, users, ends, asked.times, data.log.request[asked.positions])
    with torch.no_grad():
        together = towers.query_vectors(inputs, embeddings[torch.from_numpy(inputs.rows)])
        separate = towers.user_vectors(alone, embeddings[torch.from_numpy(alone.rows)])
    whole = torch.from_numpy(windows.starts[asked.windows] == data.log.offsets[users])
    assert whole.float().mean() > 0.5
    torch.testing.assert_close(together[whole], separate[whole], atol=1e-5, rtol=0)


def test_the_loss_falls_and_reaches_every_parameter(data: TrainingData) -> None:
    towers = TrainableTowers(shapes(data, CONFIG, 0.0), seed=0)
    parameters = [*towers.users.parameters(), *towers.items.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=0.01)
    rng, moment, windows = np.random.default_rng(1), Moment.of(data, data.examples.positions), all_windows(data)
    losses = []
    for _ in range(30):
        batch = windows.take(rng.choice(len(windows), 16, replace=False))
        loss = batch_loss(towers, data, CONFIG, batch, moment, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.2
    assert all(parameter.grad is not None for parameter in parameters)
