"""The world answers slates as its truth says, whatever the batch."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow.compute as pc
import pytest

from components.marketplace.config import LOG_START, config_for
from components.marketplace.dataset.tables import items_table
from components.marketplace.world.events import CLICK, PURCHASE
from components.marketplace.world.vocabulary import CATEGORIES
from components.marketplace.world.world import World, sigmoid
from feature_repo.dataset.split import DAY

NOON = LOG_START + 8 * DAY + 43_200.0


@pytest.fixture
def world() -> World:
    return World(config_for("tiny"))


def random_slates(world: World, num: int, size: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    users = random.integers(len(world.market.population), size=num)
    items = random.integers(len(world.market.catalogue), size=(num, size))
    return users, items, NOON + np.arange(num) * 0.001


def test_clicks_fall_with_position_as_the_truth_says(world: World) -> None:
    users, items, times = random_slates(world, 40_000)
    clicks = world.answer(users, items, times)
    clicks = clicks.take(clicks.kinds == CLICK)
    rate = np.bincount(clicks.positions, minlength=10) / len(users)
    expected = World.examination(10) * rate[0]
    noise = np.sqrt(expected / len(users)) + World.examination(10) * np.sqrt(rate[0] / len(users))
    assert np.all(np.abs(rate - expected) < 4 * noise + 0.05 * expected)  # second sights of an item change a little
    assert rate[9] < 0.35 * rate[0]


def test_clicks_follow_utility(world: World) -> None:
    users, items, times = random_slates(world, 20_000, size=1)
    expected = sigmoid(world.market.utility(users, items[:, 0], times))
    clicks = world.answer(users, items, times)
    clicked = np.zeros(len(users))
    clicked[clicks.slates[clicks.kinds == CLICK]] = 1
    for low, high in ((0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 1)):
        at = (expected >= low) & (expected < high)
        assert clicked[at].mean() == pytest.approx(expected[at].mean(), rel=0.2)


def test_an_answer_does_not_depend_on_the_batch(world: World) -> None:
    users, items, times = random_slates(world, 60)
    users = np.arange(60)  # one slate a user: what one does cannot change another's
    together = world.answer(users, items, times)
    alone = World(world.config)
    for row in reversed(range(60)):
        events = alone.answer(users[[row]], items[[row]], times[[row]])
        expected = together.take(together.slates == row)
        assert events.items.tolist() == expected.items.tolist()
        assert events.kinds.tolist() == expected.kinds.tolist()
        assert events.times.tolist() == expected.times.tolist()


def test_second_visits_and_returns_come_later(world: World) -> None:
    users, items, times = random_slates(world, 4_000)
    first = world.answer(users, items, times)
    later = world.due(NOON + 40 * DAY)
    assert len(later) > 100
    assert later.times.min() > first.times.min() + 0.5 * DAY
    assert np.all(later.slates == -1)
    assert len(world.due(NOON + 40 * DAY)) == 0


def test_what_was_bought_is_hardly_clicked_again(world: World) -> None:
    users, items, times = random_slates(world, 10_000)
    events = world.answer(users, items, times)
    bought = events.take(events.kinds == PURCHASE)
    once = ~np.array([category.restocked for category in CATEGORIES])[world.market.catalogue.category[bought.items]]
    bought = bought.take(once)
    assert len(bought) > 50
    again = world.answer(bought.users, bought.items[:, None], bought.times + DAY)
    stranger = World(world.config).answer(bought.users, bought.items[:, None], bought.times + DAY)
    assert (again.kinds == CLICK).sum() < 0.25 * (stranger.kinds == CLICK).sum()


def test_a_resumed_world_stands_where_the_other_does(world: World) -> None:
    users, items, times = random_slates(world, 2_000)
    events = world.answer(users, items, times)
    people, goods = world.market.population, world.market.catalogue
    other = World(world.config)
    kinds = ["click", "cart", "purchase", "return", "share"]
    other.resume(
        [people.user_ids[row] for row in events.users] + ["nobody"],
        [goods.item_ids[row] for row in events.items] + ["i00001"],
        [kinds[code] for code in events.kinds] + ["click"],
        np.append(events.times, NOON),
        until=NOON,
    )
    mine, theirs = world.due(NOON + 30 * DAY), other.due(NOON + 30 * DAY)
    assert len(mine) > 50
    assert mine.times.tolist() == theirs.times.tolist()
    assert mine.items.tolist() == theirs.items.tolist()


def test_a_shift_changes_the_world_from_its_day_on() -> None:
    shift = {"from_day": 10, "price_factor": 2.0, "category_boost": {"Tea": 3.0}}
    plain, shifted = World(config_for("tiny")), World(config_for("tiny", shift=shift))
    assert shifted.market.catalogue.titles == plain.market.catalogue.titles
    assert np.array_equal(shifted.market.prices(9), plain.market.prices(9))
    assert np.array_equal(shifted.market.prices(10), 2 * plain.market.prices(10))
    users = np.arange(100)
    tea = [category.name for category in CATEGORIES].index("Tea")
    for day, difference in ((9, 0.0), (10, 3.0)):
        times = np.full(100, LOG_START + day * DAY + 60.0)
        interest = shifted.market.user_vectors(users, times) - plain.market.user_vectors(users, times)
        assert np.allclose(interest[:, tea], difference, atol=1e-5)
        assert np.allclose(np.delete(interest, tea, axis=1), 0, atol=1e-5)


def test_a_sold_out_category_leaves_the_shelf_and_the_items_table() -> None:
    shift = {"from_day": 21, "sold_out": ("Tea",), "price_factor": 2.0}
    market = World(config_for("tiny", shift=shift)).market
    tea = market.catalogue.category == [category.name for category in CATEGORIES].index("Tea")
    assert market.in_stock(20)[tea].any()
    assert not market.in_stock(21)[tea].any()
    assert np.array_equal(market.in_stock(21)[~tea], market.catalogue.in_stock(21)[~tea])
    before, after = items_table(market)[0], items_table(market, 22)[0]
    start = datetime.fromtimestamp(LOG_START + 21 * DAY, UTC)
    assert pc.max(before["valid_from"]).as_py() < start
    changed = after.filter(pc.equal(after["valid_from"], start))
    assert set(changed["item_id"].to_pylist()) == set(market.catalogue.item_ids)
    sold_out = changed.filter(pc.invert(changed["in_stock"]))["category"].to_pylist()
    assert sold_out.count("Tea") == tea.sum()
