"""Figures on impressions against definitions written out in full."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluation.impressions.metrics import Judged, auc, judge, judged_ndcg, log_loss, roc, user_auc


def pairs(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """AUC by comparing every pair."""
    wins = [
        float(positive > negative) + 0.5 * float(positive == negative)
        for positive in scores[labels > 0]
        for negative in scores[labels <= 0]
    ]
    return float(np.mean(wins)) if wins else None


cases = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 4)), min_size=1, max_size=40)


@given(cases)
def test_auc_and_user_auc_are_the_share_of_ordered_pairs(rows: list[tuple[int, int, int]]) -> None:
    users, labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    expected = pairs(labels, scores)
    assert auc(labels, scores) == (None if expected is None else pytest.approx(expected))
    parts = [(pairs(labels[users == u], scores[users == u]), (users == u).sum()) for u in np.unique(users)]
    known = [(value, weight) for value, weight in parts if value is not None]
    expected = np.average([v for v, _ in known], weights=[w for _, w in known]) if known else None
    assert user_auc(users, labels, scores.astype(float)) == (None if expected is None else pytest.approx(expected))


@given(cases)
def test_the_roc_curve_climbs_from_left_to_right(rows: list[tuple[int, int, int]]) -> None:
    _, labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    false, true, thresholds = roc(labels, scores.astype(float))
    if len(set(labels.tolist())) < 2:
        assert not false
        return
    assert (np.diff(false) >= 0).all()
    assert (np.diff(true) >= 0).all()
    assert (np.diff(thresholds) < 0).all()
    assert (false[-1], true[-1]) == (1.0, 1.0)
    area = np.trapezoid([0, *true], [0, *false])
    assert area == pytest.approx(auc(labels, scores))


def test_log_loss_by_hand_and_finite_when_sure_and_wrong() -> None:
    labels = np.array([1, 0], dtype=np.int8)
    assert log_loss(labels, np.array([0.8, 0.4])) == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2)
    assert log_loss(labels, np.array([0.0, 1.0])) == pytest.approx(-np.log(1e-6), rel=1e-3)


def test_judged_ndcg_by_hand() -> None:
    slates = np.array([7, 7, 7, 9, 9, 3])
    grades = np.array([0, 3, 1, 0, 0, 2], dtype=np.int8)
    scores = np.array([0.9, 0.5, 0.1, 0.3, 0.2, 0.0])
    first = (7 / np.log2(3) + 1 / np.log2(4)) / (7 + 1 / np.log2(3))
    assert judged_ndcg(slates, grades, scores) == pytest.approx((first + 1) / 2)  # slate 9 has nothing to find
    assert judged_ndcg(slates[3:5], grades[3:5], scores[3:5]) is None


def test_constant_scores_earn_nothing() -> None:
    slates, grades = np.zeros(20, dtype=np.int64), np.array([3] + [0] * 19, dtype=np.int8)
    assert judged_ndcg(slates, grades, np.zeros(20)) == 0.0


def test_judge_leaves_out_what_has_no_evidence() -> None:
    nothing = np.array([0, 0], dtype=np.int8)
    users = np.array([0, 1])
    scores = np.array([0.1, 0.2])
    told = judge(
        Judged(
            users, users, nothing, nothing[:, None], scores, scores[:, None], np.array([0, 1], dtype=np.int32), scores
        )
    )
    assert set(told) == {"num_impressions", "num_slates", "log_loss"}
