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
from feature_repo.features.state import FloatArray, IntArray

MOST_NEIGHBOURS = 500


class ItemKnnConfig(Config):
    """Shrinkage added to the cosine's denominator, neighbours kept per item, half-life of the history in days."""

    shrink: float = 20.0
    neighbours: int = MOST_NEIGHBOURS
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
        self._best: dict[float, tuple[sparse.csr_matrix, IntArray]] = {}

    def absent(self) -> str | None:
        """None: the method always applies."""
        return None

    def axes(self) -> Mapping[str, Sequence[object]]:
        """Shrinkage, then neighbours, then the history's half-life."""
        return {
            "shrink": (0.0, 20.0, 100.0),
            "neighbours": (50, MOST_NEIGHBOURS),
            "half_life_days": self.training.half_lives(),
        }

    def fit(self, config: ItemKnnConfig) -> ItemKnnScores:
        """Keeps the configured number of neighbours for the configured shrinkage."""
        best, place = self._nearest(config.shrink)
        kept = best.copy()
        kept.data = np.where(place < config.neighbours, kept.data, 0.0).astype(np.float32)
        kept.eliminate_zeros()
        history = self.training.history.distinct()
        weights = history.decay(config.half_life_days, self.training.now)
        return ItemKnnScores(history.matrix(weights), kept, self.training.floor)

    @cached_property
    def _shared(self) -> sparse.csr_matrix:
        """Number of users that each pair of items shares [m, m]."""
        met = self.training.fit.matrix()
        met.data = np.ones_like(met.data)
        return (met.T @ met).tocsr()

    def _nearest(self, shrink: float) -> tuple[sparse.csr_matrix, IntArray]:
        """The nearest `MOST_NEIGHBOURS` of every item, and the rank of each entry within its row."""
        if shrink not in self._best:
            shared = self._shared
            norms = np.sqrt(shared.diagonal())
            owner = np.repeat(np.arange(shared.shape[0]), np.diff(shared.indptr))
            cosine = shared.data / (norms[owner] * norms[shared.indices] + shrink)
            if not self.training.repeats_some:
                cosine[owner == shared.indices] = 0.0
            order = np.lexsort((-cosine, owner))
            place = (np.arange(len(order)) - shared.indptr[owner]).astype(np.int32)
            near = (place < MOST_NEIGHBOURS) & (cosine[order] > 0)
            indptr = np.concatenate(([0], np.cumsum(np.bincount(owner[near], minlength=shared.shape[0]))))
            values = cosine[order][near].astype(np.float32)
            best = sparse.csr_matrix((values, shared.indices[order][near], indptr), shape=shared.shape)
            self._best[shrink] = best, place[near]
        return self._best[shrink]
