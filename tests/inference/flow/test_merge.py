from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.candidates.found import Found
from inference.flow.merge import LearnedOrder, bare, merge, with_rows
from inference.models.fusion import FUSED, Fusion, FusionSegment

SOURCES = ("a", "b")
NUM_ITEMS = 12
lists = st.lists(st.lists(st.integers(0, NUM_ITEMS - 1), unique=True, max_size=6), min_size=3, max_size=3)


def found(rows: list[list[int]]) -> Found:
    return Found.lists([(np.array(part, np.int32), -np.arange(len(part), dtype=np.float32)) for part in rows])


def merged(one, other, weights=(1.0, 1.0)):
    return merge({"a": found(one), "b": found(other)}, SOURCES, np.tile(weights, (3, 1)), 60.0, NUM_ITEMS)


@given(lists, lists)
def test_merge_is_reciprocal_rank_fusion(one, other):
    result = merged(one, other, (1.0, 0.5))
    for query in range(3):
        score: dict[int, float] = {}
        for weight, rows in ((1.0, one[query]), (0.5, other[query])):
            for rank, row in enumerate(rows):
                score[row] = score.get(row, 0.0) + weight / (61 + rank)
        span = slice(result.offsets[query], result.offsets[query + 1])
        assert result.rows[span].tolist() == sorted(score, key=lambda row: (-score[row], row))
        assert result.score[span] == pytest.approx([score[row] for row in result.rows[span].tolist()], rel=1e-5)
        for place, row in enumerate(result.rows[span].tolist()):
            at = result.offsets[query] + place
            assert result.source_bits[at] == (row in one[query]) + 2 * (row in other[query])
            ranks = [rows[query].index(row) if row in rows[query] else np.nan for rows in (one, other)]
            assert np.array_equal(result.source_ranks[at], np.array(ranks, np.float32), equal_nan=True)
            assert np.array_equal(result.source_scores[at], -np.array(ranks, np.float32), equal_nan=True)


@given(lists, lists, st.lists(st.tuples(st.integers(0, 2), st.integers(0, NUM_ITEMS - 1)), max_size=12))
def test_with_rows_adds_each_missing_pair_once(one, other, pairs):
    before = merged(one, other)
    owners = np.array([owner for owner, _ in pairs], dtype=np.int64)
    rows = np.array([row for _, row in pairs], dtype=np.int32)
    after = with_rows(before, owners, rows, NUM_ITEMS)
    for query in range(3):
        old = before.rows[before.offsets[query] : before.offsets[query + 1]].tolist()
        new = after.rows[after.offsets[query] : after.offsets[query + 1]].tolist()
        assert new[: len(old)] == old
        assert new[len(old) :] == sorted({row for owner, row in pairs if owner == query} - set(old))
    added = np.ones(len(after), dtype=bool)
    added[
        np.concatenate([np.arange(a, a + n) for a, n in zip(after.offsets, np.diff(before.offsets), strict=False)])
    ] = False
    assert (after.source_bits[added] == 0).all()
    assert (after.score[added] == 0).all()


def test_a_silent_source_and_nothing_at_all():
    nothing = merge({}, SOURCES, np.ones((2, 2)), 60.0, NUM_ITEMS)
    assert len(nothing) == 0
    assert nothing.num_queries == 2
    assert nothing.source_scores.shape == (0, 2)
    assert bare(np.zeros(1, np.int64), np.zeros(0, np.int32), 2).num_queries == 0
    only = merge({"b": found([[3], [], [1, 2]])}, SOURCES, np.ones((3, 2)), 60.0, NUM_ITEMS)
    assert only.rows.tolist() == [3, 1, 2]
    assert set(only.source_bits.tolist()) == {2}


@given(lists, lists)
def test_learned_weights_order_the_queries_that_have_a_segment(one, other):
    weights: dict[str, tuple[float, ...]] = {"a": (1.0, 0.0), "b": (0.0, 2.0)}
    first = FusionSegment(shortest=0, order=FUSED, weights=weights)
    second = FusionSegment(shortest=5, order="b", weights={"a": (0.0, 1e-6), "b": (0.0, 1.0)})
    learned = LearnedOrder(Fusion(constants=(1.0, 60.0), segments=(first, second)), np.array([-1, 0, 1]))
    lists_of = {"a": found(one), "b": found(other)}
    result = merge(lists_of, SOURCES, np.ones((3, 2)), 60.0, NUM_ITEMS, learned)
    plain = merge(lists_of, SOURCES, np.ones((3, 2)), 60.0, NUM_ITEMS)
    of = [slice(*result.offsets[query : query + 2]) for query in range(3)]
    assert result.rows[of[0]].tolist() == plain.rows[of[0]].tolist()
    place = {row: (one[1].index(row) if row in one[1] else None) for row in {*one[1], *other[1]}}
    score = {row: 0.0 if rank is None else 1 / (2 + rank) for row, rank in place.items()}
    for rank, row in enumerate(other[1]):
        score[row] += 2 / (61 + rank)
    assert result.rows[of[1]].tolist() == sorted(score, key=lambda row: (-score[row], row))
    assert result.rows[of[2]].tolist() == other[2] + [row for row in one[2] if row not in other[2]]
    assert sorted(result.rows.tolist()) == sorted(plain.rows.tolist())
