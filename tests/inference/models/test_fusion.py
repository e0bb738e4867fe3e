"""The learned retrieval order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import BundleError
from inference.models.fusion import FUSED, FUSION_FILE, Fusion, FusionSegment

NAN = np.float32(np.nan)
SOURCES = ("a", "b")


def fusion(*segments: FusionSegment) -> Fusion:
    return Fusion(constants=(1.0, 60.0), segments=segments)


def segment(shortest: int, order: str = FUSED, **weights: tuple[float, ...]) -> FusionSegment:
    return FusionSegment(shortest=shortest, order=order, weights=weights)


def test_a_score_is_the_weighted_sum_of_reciprocal_ranks() -> None:
    made = fusion(segment(0, a=(2.0, 3.0), b=(0.0, 1.0)), segment(5, a=(0.0, 1.0), b=(0.0, 0.0)))
    ranks = np.array([[0, 4], [NAN, 0], [NAN, NAN], [9, 0]], dtype=np.float32)
    scores = made.scores(ranks, np.array([0, 0, 0, 1]), SOURCES)
    expected = [2 / 2 + 3 / 61 + 1 / 65, 1 / 61, 0.0, 1 / 70]
    np.testing.assert_allclose(scores, expected)
    np.testing.assert_allclose(made.scores(ranks[:, ::-1], np.array([0, 0, 0, 1]), ("b", "a")), expected)


def test_a_better_rank_never_lowers_a_score_and_a_new_source_counts_nothing() -> None:
    made = fusion(segment(0, a=(0.3, 0.0), b=(0.0, 0.7)))
    ranks = np.random.default_rng(0).integers(0, 50, (40, 2)).astype(np.float32)
    better = ranks - (ranks > 0)
    assert (made.scores(better, 0, SOURCES) >= made.scores(ranks, 0, SOURCES)).all()
    wider = np.column_stack([ranks, np.zeros(len(ranks), dtype=np.float32)])
    np.testing.assert_array_equal(made.scores(wider, 0, (*SOURCES, "c")), made.scores(ranks, 0, SOURCES))


def test_segments_begin_at_their_shortest_history() -> None:
    made = fusion(segment(0), segment(1), segment(20))
    assert made.segments_of(np.array([0, 1, 19, 20, 100])).tolist() == [0, 1, 1, 2, 2]


def test_the_order_is_a_source_if_it_decides_every_segment() -> None:
    assert fusion(segment(0, "a"), segment(1, "a")).order == "a"
    assert fusion(segment(0, "a"), segment(1, "b")).order == FUSED
    assert fusion(segment(0, a=(0.25, 0.5), b=(0.5, 0.5)), segment(3, a=(1.0, 1.0))).smallest == 0.75


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    for starts in ((), (1,), (0, 5, 5), (0, 5, 2)):
        with pytest.raises(ValueError, match="must start at 0 and ascend"):
            fusion(*(segment(start) for start in starts))
    with pytest.raises(ValueError, match="a has 1 weights, there are 2 constants"):
        fusion(FusionSegment(shortest=0, order=FUSED, weights={"a": (1.0,)}))
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        segment(0, a=(-0.1, 0.0))
    assert Fusion.load(tmp_path) is None
    made = fusion(segment(0, a=(1.0, 2.0)))
    (tmp_path / FUSION_FILE).write_text(made.model_dump_json())
    assert Fusion.load(tmp_path) == made
    (tmp_path / FUSION_FILE).write_text("{")
    with pytest.raises(BundleError, match=r"(?s)fusion\.json cannot be read .*: train again\."):
        Fusion.load(tmp_path)
