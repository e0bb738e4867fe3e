"""EASE: the closed-form linear item model with a zero diagonal (Steck 2019, "Embarrassingly shallow autoencoders").

Up to `DENSE_ITEMS` items, one inverse of the items x items Gram matrix gives all weights. Its time grows with the cube
of the number of items, its memory with the square: three float32 matrices, 1.7 GB at 12,000 items. Above that number
the same regression is solved for each item over its nearest items only. It is less accurate: on a
shop of 4,000 items NDCG@20 was a fifth lower. Its time grows with the number of items, 20 s for 28,000; its memory
grows with the pairs of items that users share. EASE is absent above `MOST_PAIRS` pairs.

Because of the cost, settings are searched on the most frequent items only (`Training.most_items`); the reported model
is fitted on all items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from components.evaluation.baselines.method import Config, Training, rank
from components.evaluation.metrics import LIST_LENGTH
from components.evaluation.protocols.log import Ragged
from components.index.regression import item_weights, near_weights
from feature_repo.features.state import FloatArray, IntArray

DENSE_ITEMS = 12_000
MOST_PAIRS = 100_000_000  # about 2 GB with the copy that is sorted

Weights: TypeAlias = npt.NDArray[np.float32] | sparse.csr_matrix


class EaseConfig(Config):
    """Ridge added to the diagonal, and half-life of event weights in days (None: no decay)."""

    ridge: float = 300.0
    half_life_days: float | None = None


class EaseScores:
    """Scores as history times item weights; users without history get the popular order."""

    def __init__(self, strength: sparse.csr_matrix, weights: Weights, kept: IntArray, floor: FloatArray) -> None:
        self._strength, self._weights, self._kept, self._floor = strength, weights, kept, floor

    def lists(self, users: IntArray, excluded: Ragged, k: int = LIST_LENGTH) -> IntArray:
        """See `Method.lists`."""
        return rank(self._score, users, excluded, len(self._floor), k)

    def _score(self, users: IntArray) -> FloatArray:
        known = self._strength[users][:, self._kept]
        block = np.tile(self._floor - np.float32(1e6), (len(users), 1))
        scores = known @ self._weights
        block[:, self._kept] = scores.toarray() if sparse.issparse(scores) else scores
        empty = np.diff(known.indptr) == 0
        block[empty] = self._floor
        return block


class Ease:
    """See `Family`."""

    name = "ease"
    start = EaseConfig()

    def __init__(self, training: Training) -> None:
        self.training = training
        self._fit, self._visits = training.fit.distinct(), training.history.distinct()
        counts = np.bincount(training.fit.rows, minlength=len(training.fit.item_ids))
        frequent = np.argsort(-counts, kind="stable")[: training.most_items]
        frequent = frequent[counts[frequent] > 0]
        self._kept = np.sort(frequent).astype(np.int32)

    def absent(self) -> str | None:
        """The reason above `MOST_PAIRS` pairs of items that users share, else None."""
        if len(self._kept) <= DENSE_ITEMS:
            return None
        pairs = min(int((np.diff(self._fit.matrix().indptr).astype(np.int64) ** 2).sum()), len(self._kept) ** 2)
        if pairs > MOST_PAIRS:
            return f"users share up to {pairs:,} pairs of items; EASE holds all pairs, at most {MOST_PAIRS:,}"
        return None

    def axes(self) -> Mapping[str, Sequence[object]]:
        """Ridge, then half-life."""
        ridges = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
        return {"ridge": ridges, "half_life_days": self.training.half_lives()}

    def fit(self, config: EaseConfig) -> EaseScores:
        """Solves the ridge regression of every item on the others, with decayed, log-scaled histories."""
        training = self.training
        met = self._fit.strength(config.half_life_days, training.now)[:, self._kept]
        gram = (met.T @ met).tocsr()
        dense = len(self._kept) <= DENSE_ITEMS
        weights: Weights = item_weights(gram.toarray(), config.ridge) if dense else near_weights(gram, config.ridge)
        strength = self._visits.strength(config.half_life_days, training.now)
        return EaseScores(strength, weights, self._kept, training.floor)
