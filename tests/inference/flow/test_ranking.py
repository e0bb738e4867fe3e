"""Ranks the first candidates of the retrieval order, or all of them."""

from __future__ import annotations

import numpy as np
import pytest

from inference.recommender import Recommender
from tests.inference.test_recommender import SumScorer
from tests.kit import world

PRICE = 1  # the column that the scorer orders by


def recommender(most_ranked: int | None, column: int | None = PRICE) -> Recommender:
    made = world.artifacts()
    config = made.config.model_copy(update={"most_ranked": most_ranked})
    scorer = None if column is None else SumScorer(column=column)
    return world.recommender(world.artifacts(config=config), scorer)


@pytest.mark.parametrize("most", [1, 30])
def test_the_first_candidates_are_ranked_and_the_others_follow_in_retrieval_order(most: int) -> None:
    queries = [world.query(f"u{number}", count=90) for number in range(8)]
    plain = recommender(None, column=None).recommend(queries)
    made = recommender(most)
    for slate, before in zip(made.recommend(queries), plain, strict=True):
        prices = made.artifacts.items.numeric[slate.rows, PRICE]
        assert sorted(slate.rows[:most].tolist()) == sorted(before.rows[:most].tolist())
        assert (np.diff(prices[:most]) <= 0).all()
        assert slate.rows[most:].tolist() == before.rows[most:].tolist()
        assert (np.diff(slate.scores) <= 0).all()
        assert slate.features is not None
        assert np.isnan(slate.features).all(axis=1).tolist() == [False] * most + [True] * (90 - most)
        assert np.isnan(slate.probabilities["click"]).tolist() == [False] * most + [True] * (90 - most)


def test_more_than_there_are_ranks_all() -> None:
    queries = [world.query(f"u{number}", count=90) for number in range(8)]
    limited, unlimited = recommender(10_000).recommend(queries), recommender(None).recommend(queries)
    assert [slate.rows.tolist() for slate in limited] == [slate.rows.tolist() for slate in unlimited]


def test_a_query_that_is_not_ranked_keeps_its_order_and_scores() -> None:
    similar = world.query("u1", surface="similar", item_id=world.item_id(8))
    together = recommender(5).recommend([world.query("u1"), similar])[1]
    (alone,) = recommender(None, column=None).recommend([similar])
    assert together.rows.tolist() == alone.rows.tolist()
    assert together.scores.tolist() == alone.scores.tolist()
    assert together.features is None
