"""Baselines: what each is by hand on tiny logs, exclusion, determinism, and that none sees the future."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from components.evaluation.baselines.als import Als, AlsConfig
from components.evaluation.baselines.ease import Ease, EaseConfig
from components.evaluation.baselines.itemknn import ItemKnn, ItemKnnConfig
from components.evaluation.baselines.markov import Markov, MarkovConfig
from components.evaluation.baselines.method import HOUR, Family, Training, filtered, rank
from components.evaluation.baselines.own import Own, OwnConfig
from components.evaluation.baselines.popular import Popular, PopularConfig
from components.evaluation.metrics import hits, ndcg
from components.evaluation.protocols.log import EventLog
from components.evaluation.protocols.protocol import make_tasks
from components.evaluation.search import (
    FAMILIES,
    SEARCH_ITEMS,
    Absent,
    FittedBaseline,
    Refits,
    choose,
    fit_baselines,
)
from tests.components.evaluation.logs import Taste, at, lists, log, ragged


def training(events: EventLog, day: float, *, repeats_some: bool = False, **changes) -> Training:
    known = events.before(at(day)).positives
    return replace(Training(known, known, at(day), repeats_some=repeats_some), **changes)


def once(training: Training) -> Refits:
    return Refits((training,), None)


def listed(method, user: int, k: int, excluded=()) -> list[int]:
    rows = method.lists(np.array([user], dtype=np.int32), ragged([list(excluded)]), k)
    return rows[0].tolist()


def test_popular_decays() -> None:
    events = log([(0, 0, 0, 1), (1, 0, 0, 1), (2, 0, 0, 1), (0, 1, 9, 1), (1, 1, 9, 1), (2, 2, 1, 1)])
    assert listed(Popular(training(events, 10)).fit(PopularConfig(half_life_days=None)), 0, 3) == [0, 1, 2]
    assert listed(Popular(training(events, 10)).fit(PopularConfig(half_life_days=1)), 0, 3) == [1, 0, 2]
    assert listed(Popular(training(events, 10)).fit(PopularConfig(half_life_days=None)), 0, 4, [1]) == [0, 2, -1, -1]


def test_own_orders_by_visits_then_popularity_and_goes_on_with_popular() -> None:
    mine = [(0, 4, 1, 1), (0, 4, 2, 1), (0, 3, 3, 1), (0, 2, 4, 1)]
    others = [(user, row, 5, 1) for user in (1, 2, 3) for row in (0, 3)] + [(1, 1, 5, 1)]
    made = training(log(mine + others), 6, repeats_some=True)
    assert listed(Own(made).fit(OwnConfig()), 0, 5) == [4, 3, 2, 0, 1]
    assert Own(training(log(mine), 6)).absent()


def test_one_contact_of_several_event_types_is_one_visit() -> None:
    events = log([(0, 1, 1, 1), (0, 1, 1, 2), (0, 1, 1, 2), (0, 2, 2, 1), (0, 2, 3, 1)])
    assert len(events.distinct()) == 3
    assert listed(Own(training(events, 6, repeats_some=True)).fit(OwnConfig()), 0, 2) == [2, 1]


def test_itemknn_is_the_shrunk_cosine() -> None:
    events = log([(0, 0, 1, 1), (0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 1, 1), (2, 0, 1, 1), (2, 2, 1, 1), (3, 1, 1, 1)])
    family = ItemKnn(training(events, 2))
    near = family.fit(ItemKnnConfig(shrink=1.0))._similarity.toarray()
    assert near[0, 1] == pytest.approx(2 / (np.sqrt(3 * 3) + 1))
    assert near[0, 2] == pytest.approx(1 / (np.sqrt(3 * 1) + 1))
    assert (near.diagonal() == 0).all()
    assert (ItemKnn(training(events, 2, repeats_some=True)).fit(ItemKnnConfig())._similarity.diagonal() > 0).all()
    assert (np.diff(family.fit(ItemKnnConfig(shrink=1.0, neighbours=1))._similarity.indptr) <= 1).all()
    assert listed(family.fit(ItemKnnConfig(shrink=0.0)), 3, 3, [1]) == [0, 2, -1]


def test_ease_covers_a_large_catalogue_up_to_a_bound_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    events = Taste(num_users=120, num_items=60).log()
    made = training(events, 28)
    users, nothing = np.arange(120, dtype=np.int32), ragged([[]] * 120)
    dense = Ease(made).fit(EaseConfig(ridge=10.0)).lists(users, nothing, 10)
    monkeypatch.setattr("components.evaluation.baselines.ease.DENSE_ITEMS", 30)
    assert Ease(made).absent() is None
    near = Ease(made).fit(EaseConfig(ridge=10.0)).lists(users, nothing, 10)
    # Items that share no user have small negative weights in the dense form alone.
    assert np.mean([len(np.intersect1d(*pair)) for pair in zip(near, dense, strict=True)]) > 9
    monkeypatch.setattr("components.evaluation.baselines.ease.MOST_PAIRS", 1_000)
    assert "pairs of items" in (Ease(made).absent() or "")


def test_markov_reads_direction_gap_and_age() -> None:
    # Two users go 0, 1, 2; one user goes 1, 0 long ago.
    steps = [(user, row, 8 + row / 10, 1) for user in (0, 1) for row in (0, 1, 2)] + [(2, 1, 0.0, 1), (2, 0, 0.1, 1)]
    events = log([*steps, (3, 0, 9, 1), (4, 1, 9, 1)], num_items=4)
    family = Markov(training(events, 10, popular_half_life=None))
    chain = family.fit(MarkovConfig(smoothing=1.0, fade=0.5))._chain.toarray()
    assert chain[0, 1] == pytest.approx(2 / (2 + 2 * 0.5 + 1))
    assert chain[0, 2] == pytest.approx(2 * 0.5 / (2 + 2 * 0.5 + 1))
    assert chain[1, 0] == pytest.approx(1 / (2 + 1 + 1))
    assert chain[2].sum() == 0
    faded = family.fit(MarkovConfig(smoothing=1.0, half_life_days=1.0))._chain.toarray()
    assert faded[1, 0] < 0.01 * faded[1, 2]
    follow = family.fit(MarkovConfig(last=1, smoothing=0.1))
    assert listed(follow, 3, 2, [0]) == [1, 2]
    assert listed(follow, 4, 1, [1]) == [2]


def test_markov_reads_the_last_items_only() -> None:
    steps = [(user, row, row / 10, 1) for user in range(5) for row in (0, 1)]
    steps += [(user, row, 3 + row / 10, 1) for user in range(5, 10) for row in (2, 3)]
    events = log([*steps, (10, 0, 7, 1), (10, 2, 8, 1)])
    family = Markov(training(events, 9, popular_half_life=None))
    assert listed(family.fit(MarkovConfig(last=1)), 10, 1, [0, 2]) == [3]
    recent = family.fit(MarkovConfig(last=2, fade=0.5))._recent[10].toarray()[0]
    assert recent.tolist() == [0.5, 0.0, 1.0, 0.0]


def test_half_lives_follow_the_scales_of_the_log() -> None:
    slow = training(log([(user, row, 40 * row + user / 10, 1) for user in range(8) for row in range(9)]), 360)
    fast = training(log([(user, row, row / 24 + user / 999, 1) for user in range(8) for row in range(48)]), 2)
    assert slow.half_lives()[0] is None
    assert slow.half_lives()[1:] == (120.0, 60.0)
    assert min(value for value in fast.half_lives() if value) < 0.09
    assert min(value for value in fast.popular_half_lives() if value) >= HOUR
    assert slow.popular_half_lives()[1] == 360.0


@pytest.mark.parametrize("family", [Popular, Own, Markov, ItemKnn, Ease, Als])
def test_lists_respect_exclusion_and_the_catalogue(family) -> None:
    events = Taste(num_users=60, num_items=30).log()
    method = family(training(events, 28, repeats_some=True)).fit(family.start)
    users = np.arange(60, dtype=np.int32)
    excluded = ragged([[user % 30, (user * 7) % 30] for user in range(60)])
    rows = method.lists(users, excluded, 40)
    assert rows.shape == (60, 40)
    for user in range(60):
        some = rows[user][rows[user] >= 0]
        assert len(set(some.tolist())) == len(some)
        assert set(some.tolist()) == set(range(30)) - {user % 30, (user * 7) % 30}
        assert (rows[user][len(some) :] == -1).all()


@pytest.mark.parametrize("family", [Markov, ItemKnn, Ease, Als])
def test_users_without_history_get_the_popular_order(family) -> None:
    events = log(Taste(num_users=60, num_items=30).events, num_users=61)
    made = training(events, 28)
    popular = Popular(made).fit(PopularConfig(half_life_days=made.popular_half_life))
    assert listed(family(made).fit(family.start), 60, 30) == listed(popular, 60, 30)


@pytest.mark.parametrize("family", [Popular, Own, Markov, ItemKnn, Ease, Als])
def test_no_baseline_sees_the_future(family) -> None:
    world = Taste(num_users=60, num_items=30)
    rng = np.random.default_rng(1)
    changed = [
        (user, int(rng.integers(30)) if day >= 14 else row, day, grade) for user, row, day, grade in world.events
    ]
    users = np.arange(60, dtype=np.int32)
    nothing = ragged([[]] * 60)
    made = [
        family(training(log(events, num_users=60, num_items=30), 14, repeats_some=True)).fit(family.start)
        for events in (world.events, changed)
    ]
    np.testing.assert_array_equal(made[0].lists(users, nothing, 30), made[1].lists(users, nothing, 30))


def test_parameters_are_fitted_on_fit_and_users_placed_by_history() -> None:
    world = Taste(num_users=80, num_items=30).log()
    fit, history = world.before(at(10)), world.before(at(20))
    users, nothing = np.arange(80, dtype=np.int32), ragged([[]] * 80)
    families: tuple[type[Family[Any]], ...] = (Markov, ItemKnn, Ease, Als)
    for family in families:
        short = family(training(world, 20, fit=fit, history=fit)).fit(family.start).lists(users, nothing, 10)
        whole = family(training(world, 20, fit=fit, history=history)).fit(family.start).lists(users, nothing, 10)
        assert (short != whole).any(), family.name
    popular = [
        Popular(training(world, 20, fit=fit, history=part)).fit(PopularConfig()).orders for part in (fit, history)
    ]
    np.testing.assert_array_equal(popular[0], popular[1])


def test_models_that_read_tastes_beat_popular_and_are_repeatable() -> None:
    events = Taste().log()
    tasks = make_tasks(events, at(21), at(28), "always", 2)
    validation = make_tasks(events.before(at(21)), at(14), at(21), "always", 2).test
    found = [
        fit_baselines(
            training(events, 14, repeats_some=True), validation, once(training(events, 21, repeats_some=True))
        )
        for _ in range(2)
    ]
    figures = []
    for baselines in found:
        scores = {}
        for name, baseline in baselines.items():
            assert isinstance(baseline, FittedBaseline)
            rows = baseline.method.lists(tasks.test.users, tasks.test.excluded)
            scores[name] = float(ndcg(hits(rows, tasks.test.relevant), tasks.test.relevant.counts, 20).mean())
        figures.append(scores)
    assert figures[0] == figures[1]
    for name, times in (("own", 1.05), ("markov", 1.1), ("itemknn", 1.2), ("ease", 1.2), ("als", 1.2)):
        assert figures[0][name] > times * figures[0]["popular"], figures[0]


def test_search_ends_where_no_neighbour_on_an_axis_is_better_by_more_than_noise() -> None:
    events = Taste(num_users=60, num_items=30).log()
    task = make_tasks(events, at(14), at(28), "always", 2).test
    family = ItemKnn(training(events, 14, repeats_some=True))

    def score(config: ItemKnnConfig) -> np.ndarray:
        rows = family.fit(config).lists(task.users, task.excluded, 20)
        return ndcg(hits(rows, task.relevant), task.relevant.counts, 20)

    _, short, few = choose(family, task)
    best, long, more = choose(family, task, rounds=5)
    assert short is not None
    assert long is not None
    assert score(best).mean() == long >= short
    assert more >= few
    for name, values in family.axes().items():
        place = values.index(getattr(best, name))
        for near in {max(place - 1, 0), min(place + 1, len(values) - 1), 0, len(values) - 1}:
            gain = score(best.model_copy(update={name: values[near]})) - score(best)
            assert gain.mean() <= 0.5 * gain.std() / np.sqrt(len(task))


def test_search_tries_few_values_of_a_long_axis_and_finds_its_peak() -> None:
    """Trends of a few days: popularity with a half-life near them is best."""
    rng = np.random.default_rng(0)
    appeal = np.exp(np.cumsum(rng.normal(0, 0.9, (60, 30)), axis=0))
    shares = appeal / appeal.sum(axis=1, keepdims=True)
    taken = [rng.choice(30, 250, p=share) for share in shares]
    clicks = [(n % 400, int(row), day + n / 1e4, 1) for day, rows in enumerate(taken) for n, row in enumerate(rows)]
    events = log(clicks)
    task = make_tasks(events, at(58), at(60), "always", 1).test
    family = Popular(training(events, 58, repeats_some=True))
    values = family.axes()["half_life_days"]
    config, score, tried = choose(family, task)
    options = []
    for value in values:
        rows = family.fit(PopularConfig.model_validate({"half_life_days": value})).lists(task.users, task.excluded, 20)
        options.append(float(ndcg(hits(rows, task.relevant), task.relevant.counts, 20).mean()))
    assert score is not None
    assert score > 0.98 * max(options)
    assert config.half_life_days is not None
    assert config.half_life_days < 15
    assert tried <= len(values)


def test_the_search_of_ease_does_not_end_at_the_edge_of_a_small_log() -> None:
    events = Taste(num_users=60, num_items=30).log()
    family = Ease(training(events, 14))
    config, _, _ = choose(family, make_tasks(events, at(14), at(28), "never", 2).test)
    ridges = family.axes()["ridge"]
    assert config.ridge not in (ridges[0], ridges[-1])


@pytest.mark.parametrize("events", [[(0, 0, 1, 1)], [(0, 0, 1, 1), (0, 0, 2, 1)], [(0, 0, 1, 0)]])
def test_smallest_logs(events) -> None:
    made = training(log(events), 5)
    empty = make_tasks(log(events), at(9), at(10), "never", 1).test
    for baseline in fit_baselines(made, empty, once(made)).values():
        if isinstance(baseline, Absent):
            assert baseline.reason
        else:
            rows = baseline.method.lists(np.array([0], dtype=np.int32), ragged([[]]), 5)
            assert rows.tolist() == [[0, -1, -1, -1, -1]]


def test_given_lists_are_filtered_in_order() -> None:
    method = lists({2: [5, 1, 7, 3], 4: [1, 2]}, length=6)
    users = np.array([2, 3, 4], dtype=np.int32)
    rows = method.lists(users, ragged([[1], [], [2]]), 3)
    assert rows.tolist() == [[5, 7, 3], [-1, -1, -1], [1, -1, -1]]


def test_rank_breaks_ties_by_row_and_pads() -> None:
    rows = rank(
        lambda users: np.ones((len(users), 4), dtype=np.float32),
        np.array([0, 1], dtype=np.int32),
        ragged([[0], []]),
        4,
        6,
    )
    assert rows.tolist() == [[1, 2, 3, -1, -1, -1], [0, 1, 2, 3, -1, -1]]
    assert filtered(np.array([[3, 2, 1]], dtype=np.int32), ragged([[2], []]), 2).tolist() == [[3, 1], [3, 2]]


def test_every_baseline_of_the_catalogue_is_searched() -> None:
    assert [family.name for family in FAMILIES] == ["popular", "own", "markov", "itemknn", "ease", "als"]
    assert SEARCH_ITEMS > 0
    assert AlsConfig() == Als.start
    assert EaseConfig() == Ease.start
