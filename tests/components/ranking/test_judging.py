"""JudgedQueries queries: the candidates of serving, and the NDCG of the evaluation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluation import metrics
from components.evaluation.protocols.log import Ragged
from components.ranking.judging import MOST_BYTES, JudgedQueries, judge_groups, most_judged
from components.replay.groups import Groups
from components.replay.replay import Replay
from inference.candidates.query import Query
from tests.components.ranking.test_build import CUTS, Watched, make_groups
from tests.kit import world

PRICE = world.feature_set().ranker_features.index("item_log_price")


def judge(groups: Groups, limit: int = 100, seed: int = 0) -> JudgedQueries:
    artifacts = world.artifacts()
    replay = Replay(artifacts, Watched(world.Store(artifacts.feature_set)), CUTS)
    return judge_groups(groups, replay, limit=limit, seed=seed, what="judged")


def candidates(query: Query) -> npt.NDArray[np.int64]:
    return world.recommender(world.artifacts()).candidates([query]).rows.astype(np.int64)


def make(sizes: list[int], seed: int, unfound: int = 0) -> JudgedQueries:
    """Queries with random relevance, each with `unfound` relevant items that are not among its candidates."""
    rng = np.random.default_rng(seed)
    relevant = rng.random(sum(sizes)) < 0.2
    owners = np.repeat(np.arange(len(sizes)), sizes)
    return JudgedQueries(
        features=np.zeros((sum(sizes), 1), dtype=np.float32),
        relevant=relevant,
        offsets=np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
        num_relevant=np.maximum(np.bincount(owners[relevant], minlength=len(sizes)) + unfound, 1),
        user_ids=np.array([f"u{place}" for place in range(len(sizes))], dtype=object),
    )


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=6),
    st.integers(0, 99),
    st.integers(0, 3),
    st.sampled_from((5, 20)),
)
def test_ndcg_is_that_of_the_evaluation(sizes: list[int], seed: int, unfound: int, k: int) -> None:
    """Scores are few, so that ties occur at every place; some are NaN, as ranks by a source without a list are."""
    judged = make(sizes, seed, unfound)
    scores = np.random.default_rng(seed + 1).choice([0.0, 0.25, 1.0, -np.inf, np.nan], len(judged.relevant))
    lists = np.full((len(sizes), max([*sizes, 1])), -1, dtype=np.int32)
    pairs = []
    for query, (first, last) in enumerate(zip(judged.offsets[:-1], judged.offsets[1:], strict=True)):
        order = sorted(range(first, last), key=lambda row: (-scores[row] if np.isfinite(scores[row]) else np.inf, row))
        lists[query, : len(order)] = np.array(order, dtype=np.int32) - first
        pairs += [(query, row - first) for row in range(first, last) if judged.relevant[row]]
    owners, rows = (np.array(column, dtype=np.int64) for column in (zip(*pairs, strict=True) if pairs else ((), ())))
    relevant = Ragged.from_pairs(owners, rows, len(sizes))
    expected = metrics.ndcg(metrics.hits(lists, relevant), judged.num_relevant, k)
    np.testing.assert_allclose(judged.ndcg(scores, k), expected)


def test_a_query_holds_the_candidates_and_features_of_serving() -> None:
    queries = [world.query("u7", device="phone", country="GB"), world.query("u3")]
    judged = judge(make_groups([(query, {int(candidates(query)[4]): 1}) for query in queries]))
    assert judged.user_ids.tolist() == ["u7", "u3"]
    served = world.recommender(world.artifacts())
    for place, query in enumerate(queries):
        found = served.candidates([query])
        assert found.features is not None
        mine = slice(*judged.offsets[place : place + 2])
        np.testing.assert_array_equal(judged.features[mine], found.features[np.argsort(found.rows)])
        assert np.flatnonzero(judged.relevant[mine]).tolist() == [int((found.rows < found.rows[4]).sum())]


def test_relevant_items_count_found_or_not_unless_they_may_not_be_listed() -> None:
    query = world.query("u1")
    found, catalogue = candidates(query), world.items()
    store = world.Store(world.feature_set()).users(["u1"], np.array([query.time]))
    own = int(store.own.rows[store.own.grades == 2][0])  # `until-converted` rules it out
    unavailable = next(row for row in range(world.NUM_ITEMS) if not catalogue.available[row] and row != own)
    groups = make_groups([(query, {int(found[0]): 1, int(found[9]): 2, int(found[5]): 0, own: 1, unavailable: 1})])
    judged = judge(groups)
    assert judged.num_relevant.tolist() == [3]
    assert judged.relevant.sum() == 2
    assert judge(make_groups([(query, {own: 1})])).num_relevant.tolist() == []


def test_a_query_without_a_relevant_candidate_counts_without_rows() -> None:
    query, other = world.query("u1"), world.query("u2")
    unavailable = int(np.flatnonzero(~world.items().available)[0])
    judged = judge(make_groups([(query, {unavailable: 1}), (other, {int(candidates(other)[0]): 1})]))
    assert judged.offsets.tolist() == [0, 0, len(candidates(other))]
    assert judged.ndcg(judged.relevant.astype(np.float64)).tolist() == [0.0, 1.0]


def test_silent_groups_and_unknown_users_are_left_out() -> None:
    found = candidates(world.query("u1"))
    liked, silent = {int(found[0]): 1}, {int(found[0]): 0}
    groups = make_groups(
        [(world.query("u1"), liked), (world.query("u2"), silent), (world.query("nobody"), liked)],
    )
    assert judge(groups).user_ids.tolist() == ["u1"]


def test_a_sample_is_bounded_and_drawn_by_the_seed() -> None:
    hit = {int(candidates(world.query("u0"))[0]): 1}
    groups = make_groups([(world.query(f"u{number}"), hit) for number in range(40)])
    first, again, other = (judge(groups, limit=12, seed=seed).user_ids.tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert 0 < len(first) <= 12
    made = world.artifacts()
    most = most_judged(made.feature_set, made.config)
    row_bytes = 4 * len(made.feature_set.ranker_features)
    assert 0.99 * MOST_BYTES < most * sum(made.config.quotas.values()) * row_bytes <= MOST_BYTES


@pytest.mark.parametrize("queries", [[1], [2, 0], [0, 1, 2]])
def test_some_queries_are_judged_as_among_all(queries: list[int]) -> None:
    judged = make([7, 0, 30], seed=3)
    scores = np.random.default_rng(0).random(37)
    rows = np.concatenate([np.arange(*judged.offsets[query : query + 2]) for query in queries])
    taken = judged.take(np.array(queries))
    np.testing.assert_array_equal(taken.ndcg(scores[rows]), judged.ndcg(scores)[queries])
    assert taken.user_ids.tolist() == [f"u{query}" for query in queries]
