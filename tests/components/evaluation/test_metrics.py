"""Metrics against hand calculation, and their bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluation import metrics
from tests.components.evaluation.logs import ragged

# User 0 finds items 7 and 9 at places 2 and 4 of three relevant; user 1 finds its one item first; user 2 nothing.
ROWS = np.array([[1, 7, 2, 9, 3], [5, 1, 2, 3, 4], [1, 2, 3, -1, -1]], dtype=np.int32)
RELEVANT = ragged([[7, 8, 9], [5], [9]])


def test_hand_calculated_values() -> None:
    values = metrics.per_query(ROWS, RELEVANT)
    dcg = 1 / np.log2(3) + 1 / np.log2(5)
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    np.testing.assert_allclose(values["ndcg@10"], [dcg / ideal, 1, 0])
    np.testing.assert_allclose(values["ndcg@20"], [dcg / ideal, 1, 0])
    np.testing.assert_allclose(values["hr@10"], [1, 1, 0])
    np.testing.assert_allclose(values["recall@20"], [2 / 3, 1, 0])
    np.testing.assert_allclose(values["recall@300"], [2 / 3, 1, 0])
    np.testing.assert_allclose(values["mrr@10"], [1 / 2, 1, 0])
    np.testing.assert_allclose(values["map@10"], [(1 / 2 + 2 / 4) / 3, 1, 0])


def test_only_the_first_k_places_count() -> None:
    hit = metrics.hits(ROWS, RELEVANT)
    counts = RELEVANT.counts
    np.testing.assert_allclose(metrics.recall(hit, counts, 2), [1 / 3, 1, 0])
    np.testing.assert_allclose(metrics.reciprocal_rank(hit, 1), [0, 1, 0])
    # The ideal of k = 2 has two hits although three items are relevant.
    np.testing.assert_allclose(metrics.ndcg(hit, counts, 2)[0], (1 / np.log2(3)) / (1 + 1 / np.log2(3)))
    np.testing.assert_allclose(metrics.average_precision(hit, counts, 2)[0], (1 / 2) / 2)


def test_padding_is_never_a_hit() -> None:
    rows = np.full((2, 4), -1, dtype=np.int32)
    assert not metrics.hits(rows, ragged([[0], [0, 1]])).any()
    assert metrics.coverage(rows, 5) == 0.0
    assert metrics.novelty(rows, np.array([3, 1])) == 0.0
    assert metrics.gini(rows, 5) == 0.0


def test_coverage_novelty_and_gini() -> None:
    rows = np.array([[0, 1], [0, 1], [0, 2]], dtype=np.int32)
    assert metrics.coverage(rows, 4, k=2) == pytest.approx(3 / 4)
    assert metrics.coverage(rows, 4, k=1) == pytest.approx(1 / 4)
    # Shares with add-one smoothing: (3 + 1) / 8, (0 + 1) / 8, (0 + 1) / 8 and (1 + 1) / 8.
    assert metrics.novelty(rows[:1], np.array([3, 0, 0, 1]), k=2) == pytest.approx((1 + 3) / 2)
    assert metrics.gini(np.array([[0], [1], [2], [3]], dtype=np.int32), 4, k=1) == pytest.approx(0)
    assert metrics.gini(np.array([[2], [2], [2]], dtype=np.int32), 4, k=1) == pytest.approx(3 / 4)


def test_category_hit_rate_counts_a_user_once_a_category() -> None:
    categories = np.array(["a", "a", "b", ""], dtype=object)
    rows = np.array([[0, 1], [2, 3], [3, 2]], dtype=np.int32)
    told = metrics.category_hit_rate(rows, ragged([[0, 1, 2], [0, 3], [2]]), categories, k=2)
    assert told == {"a": {"users": 2, "hr@2": 0.5}, "b": {"users": 2, "hr@2": 0.5}}


@given(st.data())
def test_bounds_and_monotony(data: st.DataObject) -> None:
    num_items = data.draw(st.integers(2, 40))
    num = data.draw(st.integers(1, 6))
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    rows = np.stack([rng.permutation(num_items) for _ in range(num)]).astype(np.int32)
    relevant = ragged(
        [rng.choice(num_items, rng.integers(1, num_items + 1), replace=False).tolist() for _ in range(num)]
    )
    values = metrics.per_query(rows, relevant)
    for column in values.values():
        assert ((column >= 0) & (column <= 1 + 1e-12)).all()
    assert (values["recall@100"] == 1).all()  # every item is listed
    hit = metrics.hits(rows, relevant)
    for k in range(1, num_items):
        assert (metrics.recall(hit, relevant.counts, k) <= metrics.recall(hit, relevant.counts, k + 1)).all()
        assert (metrics.hit_rate(hit, k) <= metrics.hit_rate(hit, k + 1)).all()
    # Moving a hit to the front never lowers a metric that weighs places.
    best = np.take_along_axis(rows, np.argsort(~hit, axis=1, kind="stable"), axis=1)
    for name, column in metrics.per_query(best, relevant).items():
        assert (column >= values[name] - 1e-12).all(), name
    np.testing.assert_allclose(metrics.per_query(best, relevant)["ndcg@20"], 1.0)
