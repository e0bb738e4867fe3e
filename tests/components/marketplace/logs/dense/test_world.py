"""In the dense world order carries information, and no baseline knows all of it."""

from __future__ import annotations

import numpy as np
import pytest

from components.marketplace.logs.dense.config import DenseConfig
from components.marketplace.logs.dense.world import DenseWorld

SIZE = {"num_users": 1_500, "num_items": 1_200, "mean_events": 70.0, "maximum_events": 400}


@pytest.fixture(scope="module")
def world() -> DenseWorld:
    return DenseWorld(DenseConfig.model_validate({"size": "dense", **SIZE}))


@pytest.fixture(scope="module")
def last(world: DenseWorld) -> np.ndarray:
    """The last event of each user."""
    return world.audience.starts + world.audience.num_events - 1


def hit_rate(lists: np.ndarray, items: np.ndarray) -> float:
    return float((lists[:, :10] == items[:, None]).any(axis=1).mean())


def test_order_and_taste_together_beat_each_alone(world: DenseWorld, last: np.ndarray) -> None:
    items, users = world.taken.items, world.taken.users
    num_users, num_items = len(world.audience), len(world.films)
    seen = np.zeros((num_users, num_items), dtype=np.float32)
    seen[users, items] = 1.0
    seen[np.arange(num_users), items[last]] = 0.0

    def listed(scores: np.ndarray) -> np.ndarray:
        return np.argsort(-np.where(seen > 0, -np.inf, scores), axis=1, kind="stable")[:, :10]

    within = (users[1:] == users[:-1]) & ~np.isin(np.arange(1, len(items)), last)
    follows = np.zeros((num_items, num_items))
    np.add.at(follows, (items[:-1][within], items[1:][within]), 1.0)
    # EASE: Steck, "Embarrassingly shallow autoencoders for sparse data", 2019.
    inverse = np.linalg.inv(seen.T @ seen + 200.0 * np.eye(num_items))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    popular = hit_rate(listed(np.tile(seen.sum(axis=0), (num_users, 1))), items[last])
    ease = hit_rate(listed(seen @ weights), items[last])
    markov = hit_rate(listed(follows[items[last - 1]] + 1e-6 * seen.sum(axis=0)), items[last])
    oracle = hit_rate(world.taken.oracle, items[last])
    assert oracle > 1.7 * max(markov, ease)
    assert min(markov, ease) > 1.5 * popular > 0


def test_the_next_part_of_a_series_follows_and_not_the_part_before(world: DenseWorld) -> None:
    items, films = world.taken.items, world.films
    parts = np.flatnonzero(films.pull[:, 0] > 1.0)
    sequel = dict(zip(parts.tolist(), films.successors[parts, 0].tolist(), strict=True))
    assert len(sequel) > 30
    pairs = list(zip(items[:-1].tolist(), items[1:].tolist(), strict=True))
    forward = sum(sequel.get(first) == second for first, second in pairs)
    backward = sum(sequel.get(second) == first for first, second in pairs)
    assert forward > 5 * backward > 0


def test_taste_moves_over_the_life_of_a_user(world: DenseWorld) -> None:
    people, vectors = world.audience, world.films.vectors
    rows = np.flatnonzero(people.num_events >= 60)
    starts, nums = people.starts[rows, None], people.num_events[rows, None]
    early = vectors[world.taken.items[starts + np.arange(20)]].mean(axis=1)
    late = vectors[world.taken.items[starts + nums - 1 - np.arange(20)]].mean(axis=1)
    begin, end = people.taste(rows, 0), people.taste(rows, people.num_events[rows])
    assert (early * begin).sum(axis=1).mean() > (early * end).sum(axis=1).mean() + 0.05
    assert (late * end).sum(axis=1).mean() > (late * begin).sum(axis=1).mean() + 0.05


def test_most_users_act_in_one_sitting_and_the_log_dies_out(world: DenseWorld, last: np.ndarray) -> None:
    people = world.audience
    sittings = np.add.reduceat(people.begins.astype(int), people.starts)
    assert 0.55 < np.mean(sittings == 1) < 0.8
    once = np.flatnonzero(sittings == 1)
    assert np.median(people.times[last[once]] - people.times[people.starts[once]]) < 3_600
    left = people.times.max() - people.times[last]
    assert np.median(left) > 0.5 * world.config.num_seconds
    gaps = np.diff(people.times)
    gaps = np.delete(gaps, people.starts[1:] - 1)
    assert gaps.min() >= 1.0


def test_popularity_has_a_long_tail(world: DenseWorld) -> None:
    counts = np.sort(np.bincount(world.taken.items, minlength=len(world.films)))[::-1]
    assert counts[: len(counts) // 10].sum() > 0.25 * counts.sum()
    assert counts[0] > 5 * np.median(counts)


def test_more_events_than_half_of_the_films_are_refused() -> None:
    with pytest.raises(ValueError, match="maximum_events"):
        DenseConfig.model_validate({"size": "dense", **SIZE, "maximum_events": 601})
