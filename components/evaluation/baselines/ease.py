"""EASE: the closed-form linear item model with a zero diagonal (Steck 2019, "Embarrassingly shallow autoencoders").

EASE inverts an items x items matrix and is therefore absent above `MOST_ITEMS`. Because the cost is cubic, settings are
searched on the most frequent items only (`Training.most_items`); the reported model is fitted on all items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import lapack

from components.evaluation.baselines.method import Config, Training, rank
from components.evaluation.metrics import LIST_LENGTH
from components.evaluation.protocols.log import Ragged
from feature_repo.features.state import FloatArray, IntArray

MOST_ITEMS = 12_000


class EaseConfig(Config):
    """Ridge added to the diagonal, and half-life of event weights in days (None: no decay)."""

    ridge: float = 300.0
    half_life_days: float | None = None


class EaseScores:
    """Scores as history times item weights; users without history get the popular order."""

    def __init__(self, strength: sparse.csr_matrix, weights: FloatArray, kept: IntArray, floor: FloatArray) -> None:
        self._strength, self._weights, self._kept, self._floor = strength, weights, kept, floor

    def lists(self, users: IntArray, excluded: Ragged, k: int = LIST_LENGTH) -> IntArray:
        """See `Method.lists`."""
        return rank(self._score, users, excluded, len(self._floor), k)

    def _score(self, users: IntArray) -> FloatArray:
        known = self._strength[users][:, self._kept]
        block = np.tile(self._floor - np.float32(1e6), (len(users), 1))
        block[:, self._kept] = known @ self._weights
        empty = np.diff(known.indptr) == 0
        block[empty] = self._floor
        return block


class Ease:
    """See `Family`."""

    name = "ease"
    start = EaseConfig()

    def __init__(self, training: Training) -> None:
        self.training = training
        counts = np.bincount(training.fit.rows, minlength=len(training.fit.item_ids))
        frequent = np.argsort(-counts, kind="stable")[: training.most_items]
        frequent = frequent[counts[frequent] > 0]
        self._kept = np.sort(frequent).astype(np.int32)

    def absent(self) -> str | None:
        """The reason above `MOST_ITEMS` items, else None."""
        if len(self._kept) > MOST_ITEMS:
            return f"{len(self._kept):,} items; EASE inverts items x items and is left out above {MOST_ITEMS:,}"
        return None

    def axes(self) -> Mapping[str, Sequence[object]]:
        """Ridge, then half-life."""
        return {"ridge": (10.0, 30.0, 100.0, 300.0, 1000.0), "half_life_days": self.training.half_lives()}

    def fit(self, config: EaseConfig) -> EaseScores:
        """Inverts the ridge-regularised Gram matrix of decayed, log-scaled histories."""
        training = self.training
        met = training.fit.distinct().strength(config.half_life_days, training.now)[:, self._kept]
        gram = (met.T @ met).toarray().astype(np.float32)
        weights = item_weights(gram, config.ridge)
        strength = training.history.distinct().strength(config.half_life_days, training.now)
        return EaseScores(strength, weights, self._kept, training.floor)


def item_weights(gram: FloatArray, ridge: float) -> npt.NDArray[np.float32]:
    """B = I - P / diag(P) with P = (G + ridge I)^-1, by Cholesky in float32 [m, m]."""
    gram[np.diag_indices_from(gram)] += np.float32(ridge)
    factor, failed = lapack.spotrf(gram, lower=1)
    if failed:
        raise ArithmeticError(f"EASE's Gram matrix with ridge {ridge} is not positive definite.")
    inverse, _ = lapack.spotri(factor, lower=1, overwrite_c=1)
    lower = np.tril(inverse, -1)
    diagonal = np.diag(inverse).copy()
    inverse = lower + lower.T
    weights: npt.NDArray[np.float32] = np.divide(inverse, -diagonal, out=inverse)
    return weights
