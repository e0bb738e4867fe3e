"""The logging policy's propensities are the probabilities with which it draws."""

from __future__ import annotations

import numpy as np
import pytest

from components.marketplace.config import LOG_START, config_for
from components.marketplace.world.policy import SLATE_SIZE, LoggingPolicy
from components.marketplace.world.world import World
from feature_repo.dataset.split import DAY

NUM = 5_000
NOON = LOG_START + 3 * DAY + 43_200.0


@pytest.fixture(scope="module")
def world() -> World:
    return World(config_for("tiny"))


def draw(world: World, surface: str, shown: np.ndarray, seed_item: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    users, times = np.zeros(NUM, dtype=np.int64), np.full(NUM, NOON)
    seeds = None if seed_item is None else np.full(NUM, seed_item)
    return LoggingPolicy(world).draw(surface, users, times, shown, seeds, np.random.default_rng(5))


@pytest.mark.parametrize(("surface", "seed_item"), [("home", None), ("email", None), ("similar", 7)])
def test_propensities_are_frequencies(world: World, surface: str, seed_item: int | None) -> None:
    excluded = np.full((NUM, 1), 11)
    items, propensities = draw(world, surface, excluded, seed_item)
    propensities = propensities.astype(float)
    assert items.shape == (NUM, SLATE_SIZE[surface])
    top = np.bincount(items[:, 0], minlength=len(world.market.catalogue)) / NUM
    for item in np.argsort(-top)[:10]:
        logged = propensities[items[:, 0] == item, 0]
        assert logged.std() < 1e-6
        assert top[item] == pytest.approx(logged[0], abs=4 * np.sqrt(logged[0] / NUM))
    # E[1 / p(item | user, time, items above)] is the number of items that may stand there.
    allowed = world.market.showable(np.array([0]), np.array([NOON]))[0]
    allowed[[11] if seed_item is None else [11, seed_item]] = False
    for position in range(items.shape[1]):
        mean = (1 / propensities[:, position]).mean()
        assert mean == pytest.approx(allowed.sum() - position, rel=0.05)


def test_a_slate_holds_no_item_twice_and_none_that_was_ruled_out(world: World) -> None:
    items, _ = draw(world, "similar", np.full((NUM, 1), 11), 7)
    assert all(len(set(slate)) == len(slate) for slate in items[:2_000].tolist())
    assert not np.isin(items, [7, 11]).any()
    assert world.market.showable(np.array([0]), np.array([NOON]))[0][np.unique(items)].all()


def test_a_short_catalogue_leaves_the_rest_of_the_slate_empty(world: World) -> None:
    allowed = np.flatnonzero(world.market.showable(np.array([0]), np.array([NOON]))[0])
    items, propensities = draw(world, "home", np.tile(allowed[4:], (NUM, 1)))
    assert set(np.unique(items)) == {-1, *allowed[:4].tolist()}
    assert np.all((items >= 0).sum(axis=1) == 4)
    assert np.array_equal(np.isnan(propensities), items < 0)
