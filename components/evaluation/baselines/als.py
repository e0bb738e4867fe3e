"""Implicit matrix factorisation by alternating least squares (Hu, Koren and Volinsky 2008), from `implicit`.

Confidence is alpha times the decayed count of visits. BLAS is limited to one thread while `implicit` runs its threads,
as its documentation recommends; results do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from components.evaluation.baselines.method import Config, Training, rank
from components.evaluation.metrics import LIST_LENGTH
from components.evaluation.protocols.log import Ragged
from feature_repo.features.state import FloatArray, IntArray

NUM_THREADS = 2


class AlsConfig(Config):
    """Dimensions, L2 penalty, confidence of a recent visit, half-life in days (None: no decay), iterations."""

    factors: int = 32
    regularization: float = 10.0
    alpha: float = 10.0
    half_life_days: float | None = None
    iterations: int = 10


class AlsScores:
    """Scores as products of factors; users without history get the popular order."""

    def __init__(self, users: FloatArray, items: FloatArray, known: npt.NDArray[np.bool_], floor: FloatArray) -> None:
        self._users, self._items, self._known, self._floor = users, items, known, floor

    def lists(self, users: IntArray, excluded: Ragged, k: int = LIST_LENGTH) -> IntArray:
        """See `Method.lists`."""
        return rank(self._score, users, excluded, len(self._floor), k)

    def _score(self, users: IntArray) -> FloatArray:
        block = self._users[users] @ self._items.T
        block[~self._known[users]] = self._floor
        return cast(FloatArray, block)


class Als:
    """See `Family`."""

    name = "als"
    start = AlsConfig()

    def __init__(self, training: Training) -> None:
        self.training = training
        self._fit, self._visits = training.fit.distinct(), training.history.distinct()

    def absent(self) -> str | None:
        """None: the method always applies."""
        return None

    def axes(self) -> Mapping[str, Sequence[object]]:
        """Dimensions, then half-life, confidence and L2 penalty."""
        return {
            "factors": (8, 16, 32, 64, 128),
            "half_life_days": self.training.half_lives()[:5],
            "alpha": (1.0, 3.0, 10.0, 30.0),
            "regularization": (1.0, 3.0, 10.0, 30.0, 100.0),
        }

    def fit(self, config: AlsConfig) -> AlsScores:
        """Factorises the training events, then computes user factors from each history."""
        training = self.training
        fit, history = self._fit, self._visits
        known = history.matrix(history.decay(config.half_life_days, training.now))
        with threadpool_limits(1, "blas"):
            model = AlternatingLeastSquares(
                factors=config.factors,
                regularization=config.regularization,
                alpha=config.alpha,
                iterations=config.iterations,
                num_threads=NUM_THREADS,
                random_state=training.seed,
            )
            model.fit(fit.matrix(fit.decay(config.half_life_days, training.now)), show_progress=False)
            users = model.recalculate_user(np.arange(known.shape[0]), known)
        return AlsScores(users, model.item_factors, np.diff(known.indptr) > 0, training.floor)
