"""Trees are stopped on some users and compared with other orders on others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from components.ranking.judging import JudgedQueries
from components.ranking.trees.boosting import BoostedTrees, RankerConfig, boost
from components.ranking.trees.stopping import FEWEST_QUERIES, StoppingCurve, halve
from tests.components.ranking.test_fit import FEATURES, judge_rows, make_rows

CONFIG = RankerConfig(num_trees=40, min_rows_in_leaf=20, patience=40, num_threads=1)
NUM_QUERIES = 120


def noise(seed: int) -> JudgedQueries:
    """Queries whose relevant candidates nothing predicts."""
    judged = judge_rows(make_rows(NUM_QUERIES, seed, with_positions=False))
    return replace(judged, relevant=np.random.default_rng(seed).permutation(judged.relevant))


def grown(judged: JudgedQueries, halves: np.ndarray | None) -> BoostedTrees:
    train = make_rows(150, 0, with_positions=False)
    return boost(train, judged, halves, FEATURES, CONFIG)


def test_a_user_is_in_one_half_and_the_halves_have_equally_many_users() -> None:
    users = np.array([f"u{number // 3}" for number in range(300)], dtype=object)
    halves = halve(users, seed=0)
    assert halves is not None
    assert (halves.reshape(-1, 3) == halves[::3, None]).all()
    assert halves[::3].sum() == 50
    order = np.random.default_rng(1).permutation(300)
    again, other = halve(users[order], seed=0), halve(users, seed=1)
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(again, halves[order])
    assert (other != halves).any()


@pytest.mark.parametrize("users", [[f"u{number}" for number in range(FEWEST_QUERIES - 1)], ["u1"] * 500])
def test_few_queries_or_one_user_are_not_split(users: list[str]) -> None:
    assert halve(np.array(users, dtype=object), seed=0) is None


def test_each_half_is_ordered_by_the_number_of_trees_that_the_other_half_chooses() -> None:
    judged = noise(3)
    halves = halve(judged.user_ids, seed=0)
    assert halves is not None
    trees = grown(judged, halves)
    scores = trees.crosswise(judged, halves)
    curves = np.array([judged.ndcg(trees.scores(judged.features, count)) for count in range(1, CONFIG.num_trees + 1)])
    for half in (0, 1):
        mine = np.flatnonzero(halves == half)
        stop = 1 + int(curves[:, halves == 1 - half].mean(axis=1).argmax())
        asked = judged.take(mine)
        rows = np.repeat(halves == half, np.diff(judged.offsets))
        np.testing.assert_array_equal(scores[rows], trees.scores(asked.features, stop))
    assert trees.stops.ndcg == pytest.approx(curves.mean(axis=1).max(), abs=1e-6)


def test_without_halves_all_queries_stop_and_compare() -> None:
    judged = noise(1)
    trees = grown(judged, None)
    np.testing.assert_array_equal(trees.crosswise(judged, None), trees.scores(judged.features))
    curve = StoppingCurve(judged, None)
    curve(trees.scores(judged.features), None)  # type: ignore[arg-type]
    assert curve.stops().by_half == (1, 1)
