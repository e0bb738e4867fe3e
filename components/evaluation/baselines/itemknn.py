"""Item-to-item neighbours: shrunk cosine of the users that two items share, summed over the user's decayed history.

Sarwar et al. 2001, with the shrinkage of Bell and Koren 2007. If own items may come again, an item is also a neighbour
of itself. Scores of zero fall back to popularity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from scipy import sparse

from components.evaluation.baselines.method import Config, Training, rank
from components.evaluation.metrics import LIST_LENGTH
from components.evaluation.protocols.log import Ragged
from components.index.tables import strongest
from feature_repo.features.state import FloatArray, IntArray

MOST_NEIGHBOURS = 500


class ItemKnnConfig(Config):
    """Shrinkage added to the cosine's denominator, neighbours kept per item, half-life of the history in days."""

    shrink: float = 30.0
    neighbours: int = 50
    half_life_days: float | None = None


class ItemKnnScores:
    """Scores as history times similarity, with popularity below them."""

    def __init__(self, history: sparse.csr_matrix, similarity: sparse.csr_matrix, floor: FloatArray) -> None:
        self._history, self._similarity, self._floor = history, similarity, floor

    def lists(self, users: IntArray, excluded: Ragged, k: int = LIST_LENGTH) -> IntArray:
        """See `Method.lists`."""
        return rank(self._score, users, excluded, len(self._floor), k)

    def _score(self, users: IntArray) -> FloatArray:
        near = (self._history[users] @ self._similarity).toarray()
        return np.where(near > 0, near, self._floor)


class ItemKnn:
    """See `Family`."""

    name = "itemknn"
    start = ItemKnnConfig()

    def __init__(self, training: Training) -> None:
        self.training = training
        self._visits = training.history.distinct()
        self._best: dict[float, tuple[sparse.csr_matrix, IntArray]] = {}

    def absent(self) -> str | None:
        """None: the method always applies."""
        return None

    def axes(self) -> Mapping[str, Sequence[object]]:
        """Neighbours, then shrinkage, then the history's half-life."""
        return {
            "neighbours": (5, 10, 20, 50, 150, MOST_NEIGHBOURS),
            "shrink": (0.0, 10.0, 30.0, 100.0, 300.0),
            "half_life_days": self.training.half_lives(),
        }

    def fit(self, config: ItemKnnConfig) -> ItemKnnScores:
        """Keeps the configured number of neighbours for the configured shrinkage."""
        best, place = self._nearest(config.shrink)
        near = place < config.neighbours
        indptr = np.concatenate(([0], np.cumsum(near)))[best.indptr]
        kept = sparse.csr_matrix((best.data[near], best.indices[near], indptr), shape=best.shape)
        history = self._visits
        weights = history.decay(config.half_life_days, self.training.now)
        return ItemKnnScores(history.matrix(weights), kept, self.training.floor)

    @cached_property
    def _shared(self) -> sparse.csr_matrix:
        """Number of users that each pair of items shares [m, m]."""
        met = self.training.fit.matrix()
        met.data = np.ones_like(met.data)
        shared = (met.T @ met).tocsr()
        shared.sort_indices()
        return shared

    def _nearest(self, shrink: float) -> tuple[sparse.csr_matrix, IntArray]:
        """The nearest `MOST_NEIGHBOURS` of every item, and the rank of each entry within its row."""
        if shrink not in self._best:
            shared = self._shared
            norms = np.sqrt(shared.diagonal())
            owner = np.repeat(np.arange(shared.shape[0]), np.diff(shared.indptr))
            cosine = shared.data / (norms[owner] * norms[shared.indices] + shrink)
            if not self.training.repeats_some:
                cosine[owner == shared.indices] = 0.0
            self._best[shrink] = strongest(shared, cosine.astype(np.float32), MOST_NEIGHBOURS)
        return self._best[shrink]
