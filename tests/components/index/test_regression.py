"""The linear model against a plain solution, in its dense and in its sparse form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from components.index import regression as module
from components.index.regression import RegressionConfig, fit_regression, item_weights, near_weights
from components.replay.events import Events
from inference.models.neighbours import Predictors
from tests.components.index.test_covisitation import DAY, random_events

CONFIG = RegressionConfig(num_weights=6, ridge=5.0, half_life_days=15.0)


def log_of_all() -> Events:
    """Events of few items a user, and of one user who took every item."""
    events = random_events()
    rows = events.rows.copy()
    rows[np.flatnonzero(events.users == np.bincount(events.users).argmax())[-40:]] = np.arange(40)
    return replace(events, rows=rows)


def plain_weights(as_of: float, events: Events) -> np.ndarray:
    """EASE of the events before a time, with numpy alone."""
    used = events.times < as_of
    sums = np.zeros((15, 40))
    np.add.at(sums, (events.users[used], events.rows[used]), 0.5 ** ((as_of - events.times[used]) / (15 * DAY)))
    strength = np.log2(1 + sums)
    inverse = np.linalg.inv(strength.T @ strength + 5.0 * np.eye(40))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


def assert_equal(found: Predictors, weights: np.ndarray) -> None:
    for row in range(40):
        others, values = found.of(row)
        assert row not in others
        assert len(others) == min(6, np.count_nonzero(weights[row] > 1e-7))
        np.testing.assert_allclose(values, weights[row, others], rtol=1e-3)
        np.testing.assert_allclose(values, np.sort(weights[row])[::-1][: len(others)], rtol=1e-3)


def test_an_item_keeps_its_largest_weights() -> None:
    found = fit_regression(random_events(), 40, 40 * DAY, CONFIG)
    assert found.half_life_days == 15.0
    assert_equal(found, plain_weights(40 * DAY, random_events()))


def test_the_sparse_form_is_the_dense_one_where_all_items_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DENSE_ITEMS", 10)
    met = module._strengths(log_of_all(), 40, 60 * DAY, np.inf)
    assert (met.T @ met).nnz == 40 * 40  # each pair of items shares a user
    assert_equal(fit_regression(log_of_all(), 40, 60 * DAY, CONFIG), plain_weights(60 * DAY, log_of_all()))


def test_frequent_items_alone_have_weights_while_settings_are_searched() -> None:
    events = random_events()
    counts = [len(np.unique(events.users[events.rows == row])) for row in range(40)]
    found = fit_regression(events, 40, 60 * DAY, CONFIG, most_items=10)
    known = {row for row in range(40) if len(found.of(row)[0])} | set(found.rows.tolist())
    assert len(known) <= 10
    assert min(counts[row] for row in known) >= np.sort(counts)[-10]


def test_long_histories_are_shortened_to_their_latest_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", 15 * 9)
    events = random_events()
    met = module._strengths(events, 40, 60 * DAY, np.inf)
    for user in range(15):
        mine = events.rows[events.users == user][::-1]
        last = list(dict.fromkeys(mine.tolist()))[: met[user].nnz]
        assert set(met[user].indices.tolist()) == set(last)
    assert (np.diff(met.indptr) ** 2).sum() <= 15 * 9


def test_a_log_without_earlier_events_has_no_weights() -> None:
    found = fit_regression(random_events(), 40, -DAY, CONFIG)
    assert len(found) == 40
    assert len(found.rows) == 0


def test_ease_solves_its_constrained_regression() -> None:
    rng = np.random.default_rng(0)
    met = (rng.random((60, 7)) < 0.4).astype(np.float32)
    ridge = 3.0
    weights = item_weights(met.T @ met, ridge)
    np.testing.assert_allclose(np.diag(weights), 0, atol=1e-6)

    def loss(matrix: np.ndarray) -> float:
        return float(((met - met @ matrix) ** 2).sum() + ridge * (matrix**2).sum())

    for _ in range(20):
        step = rng.normal(0, 1e-2, weights.shape)
        np.fill_diagonal(step, 0)
        assert loss(weights) <= loss(weights + step)


def test_ease_over_near_items_is_ease_where_all_items_are_near() -> None:
    rng = np.random.default_rng(0)
    met = sparse.csr_matrix((rng.random((200, 30)) < 0.3).astype(np.float32))
    gram = (met.T @ met).tocsr()
    whole = item_weights(gram.toarray(), 20.0)
    np.testing.assert_allclose(near_weights(gram, 20.0, nearest=29).toarray(), whole, atol=1e-4)
    few = near_weights(gram, 20.0, nearest=5)
    assert (np.diff(few.tocsc().indptr) == 5).all()
    assert (few.diagonal() == 0).all()
