"""Ranking and calibration metrics on impressions: AUC, per-user AUC, log loss, NDCG among the shown items.

Every function takes arrays with an entry per impression. These metrics judge the ranker on items that the log showed;
`components/evaluation/metrics.py` judges lists over the whole catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

FloatArray64 = npt.NDArray[np.float64]
_CLIP = 1e-6
MAX_POINTS = 200


@dataclass(frozen=True, slots=True)
class Judged:
    """Scored impressions of the test span.

    Attributes:
        users: User code [n].
        slates: Code of the group that is ranked together [n]: the request if the log has slates, else the user.
        grades: Strongest objective that was reached, 0 for none [n].
        labels: 1 where an objective was reached [n, num_objectives].
        scores: Scores of the ranker [n].
        probabilities: Calibrated probability of each objective [n, num_objectives].
        positions: Position in the slate, -1 if unknown [n].
        propensities: Probability that the log's policy showed the item at its position, NaN if unknown [n].
    """

    users: npt.NDArray[np.int64]
    slates: npt.NDArray[np.int64]
    grades: npt.NDArray[np.int8]
    labels: npt.NDArray[np.int8]
    scores: FloatArray64
    probabilities: FloatArray64
    positions: npt.NDArray[np.int32]
    propensities: FloatArray64


def auc(labels: npt.NDArray[np.int8], scores: FloatArray64) -> float | None:
    """Probability that a positive is scored above a negative, ties half (Mann-Whitney); None if a class is absent."""
    positives = int((labels > 0).sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return None
    ranks = rankdata(scores)
    return float((ranks[labels > 0].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def user_auc(users: npt.NDArray[np.int64], labels: npt.NDArray[np.int8], scores: FloatArray64) -> float | None:
    """Mean AUC within users, weighted by their impressions (Zhou et al. 2018, GAUC).

    Users without both classes are left out. None if no user is left.
    """
    if not len(users):
        return None
    order = np.lexsort((scores, users))
    users, positive, scores = users[order], labels[order] > 0, scores[order]
    starts = np.flatnonzero(np.r_[True, users[1:] != users[:-1]])
    owner = np.cumsum(np.r_[False, users[1:] != users[:-1]])
    place = np.arange(len(users)) - starts[owner] + 1.0
    tie = np.cumsum(np.r_[True, (owner[1:] != owner[:-1]) | (scores[1:] != scores[:-1])]) - 1
    ranks = (np.bincount(tie, weights=place) / np.bincount(tie))[tie]
    total = np.bincount(owner).astype(np.float64)
    wins = np.bincount(owner, weights=positive)
    losses = total - wins
    both = (wins > 0) & (losses > 0)
    if not both.any():
        return None
    above = np.bincount(owner, weights=np.where(positive, ranks, 0.0)) - wins * (wins + 1) / 2
    return float(np.average(above[both] / (wins * losses)[both], weights=total[both]))


def log_loss(labels: npt.NDArray[np.int8], probabilities: FloatArray64) -> float | None:
    """Mean negative log likelihood, probabilities clipped to 1e-6; None without impressions."""
    if not len(labels):
        return None
    sure = np.clip(probabilities, _CLIP, 1 - _CLIP)
    return float(-np.where(labels > 0, np.log(sure), np.log(1 - sure)).mean())


def judged_ndcg(
    slates: npt.NDArray[np.int64], grades: npt.NDArray[np.int8], scores: FloatArray64, k: int = 10
) -> float | None:
    """Mean NDCG@k among the judged items of each slate, gain 2^grade - 1; slates without gain are left out."""
    gains = np.exp2(np.maximum(grades, 0)) - 1.0

    def dcg(order: npt.NDArray[np.int64]) -> FloatArray64:
        owner = slates[order]
        starts = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
        place = np.arange(len(owner)) - starts[np.cumsum(np.r_[False, owner[1:] != owner[:-1]])]
        kept = np.where(place < k, gains[order] / np.log2(place + 2.0), 0.0)
        return np.add.reduceat(kept, starts)

    if not len(slates):
        return None
    ideal = dcg(np.lexsort((-gains, slates)))
    # Ties are broken by gain, lowest first, so that equal scores earn nothing.
    gained = dcg(np.lexsort((gains, -scores, slates)))
    some = ideal > 0
    return float((gained[some] / ideal[some]).mean()) if some.any() else None


def judge(judged: Judged) -> dict[str, float]:
    """All metrics that the impressions have evidence for, with the number of impressions and of slates.

    Those of a probability are of the first objective.
    """
    labels, probabilities = judged.labels[:, 0], judged.probabilities[:, 0]
    figures = {
        "auc": auc(labels, probabilities),
        "user_auc": user_auc(judged.users, labels, probabilities),
        "log_loss": log_loss(labels, probabilities),
        "ndcg@10": judged_ndcg(judged.slates, judged.grades, judged.scores),
    }
    counts = {"num_impressions": float(len(judged.users)), "num_slates": float(len(np.unique(judged.slates)))}
    return counts | {name: value for name, value in figures.items() if value is not None}


def roc(labels: npt.NDArray[np.int8], scores: FloatArray64) -> tuple[list[float], list[float], list[float]]:
    """False positive rates, true positive rates and thresholds of the ROC curve, thinned to `MAX_POINTS`.

    The lists are empty if a class is absent.
    """
    positives = int((labels > 0).sum())
    if positives in (0, len(labels)):
        return [], [], []
    order = np.argsort(-scores, kind="stable")
    last = np.r_[scores[order][1:] != scores[order][:-1], True]
    true = np.cumsum(labels[order] > 0)[last] / positives
    false = np.cumsum(labels[order] <= 0)[last] / (len(labels) - positives)
    points = np.unique(np.linspace(0, len(true) - 1, MAX_POINTS).astype(int))
    thresholds = scores[order][last]
    return false[points].tolist(), true[points].tolist(), thresholds[points].tolist()
