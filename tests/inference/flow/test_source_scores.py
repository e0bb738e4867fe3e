"""Every source's opinion of every candidate."""

from __future__ import annotations

import numpy as np

from inference.candidates.found import Found
from inference.flow.merge import merge
from inference.flow.source_scores import complete

SOURCES = ("near", "listed")


def test_scores_reach_beyond_quotas_and_ranks_count_within_the_query() -> None:
    vectors = np.array([[1.0, 0.0]], dtype=np.float32)
    embeddings = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]], dtype=np.float32)
    near = Found(np.array([0, 2]), np.array([0, 1], np.int32), np.array([1.0, 0.6], np.float32), vectors, embeddings)
    listed = Found(np.array([0, 3]), np.array([2, 1, 3], np.int32), np.array([5.0, 4.0, 3.0], np.float32))
    brought = {"near": near, "listed": listed.first(1)}
    candidates = merge(brought, SOURCES, np.ones((1, 2)), 60.0, 4)
    assert candidates.rows.tolist() == [0, 2, 1]
    done = complete(candidates, {"near": near, "listed": listed}, SOURCES, 4)
    # Row 2 came from the list alone and has its inner product; row 1 came by vector alone and has its list score.
    np.testing.assert_allclose(done.source_scores, [[1.0, np.nan], [0.0, 5.0], [0.6, 4.0]], atol=1e-6)
    np.testing.assert_array_equal(done.source_ranks, [[0, np.nan], [2, 0], [1, 1]])


def test_a_query_without_a_vector_and_a_failed_source_stay_empty() -> None:
    vectors = np.zeros((2, 2), dtype=np.float32)
    vectors[0] = [0.0, 1.0]
    embeddings = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    near = Found(np.array([0, 1, 1]), np.array([1], np.int32), np.array([1.0], np.float32), vectors, embeddings)
    listed = Found(np.array([0, 1, 2]), np.array([0, 0], np.int32), np.array([2.0, 2.0], np.float32))
    candidates = merge({"near": near, "listed": listed}, SOURCES, np.ones((2, 2)), 60.0, 2)
    done = complete(candidates, {"near": near}, SOURCES, 2)
    assert np.isnan(done.source_scores[:, 1]).all()
    assert np.isnan(done.source_scores[candidates.offsets[1] :, 0]).all()
    assert not np.isnan(done.source_scores[: candidates.offsets[1], 0]).any()
