"""Last-item transitions: what users took next after the items that this user took last.

The transitions are counted as for the source of that name (`components/index/transitions.py`). The rows of the user's
last items are mixed, the last item first. Rows with few transitions are smoothed towards popularity (Dirichlet prior).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import cast

import numpy as np
from scipy import sparse

from components.evaluation.baselines.method import Config, Training, rank
from components.evaluation.metrics import LIST_LENGTH
from components.evaluation.protocols.log import EventLog, Int64Array, Ragged
from components.index.transitions import count_transitions
from feature_repo.features.state import FloatArray, IntArray


class MarkovConfig(Config):
    """Settings of the chain.

    Attributes:
        last: Number of the user's last visits that are read.
        fade: Weight of one more step between two visits, and of one more step back in the history.
        smoothing: Number of transitions of the popularity prior.
        half_life_days: Half-life of transitions in days, None for no decay.
    """

    last: int = 5
    fade: float = 0.7
    smoothing: float = 10.0
    half_life_days: float | None = None


class MarkovScores:
    """Mixed transition rows of the last items, with popularity below them."""

    def __init__(
        self,
        recent: sparse.csr_matrix,
        chain: sparse.csr_matrix,
        prior: FloatArray,
        shares: FloatArray,
        floor: FloatArray,
    ) -> None:
        """Prepares the scores.

        Args:
            recent: Weights of the user's last items, float32 CSR [u, m].
            chain: Transition probabilities without the prior, float32 CSR [m, m].
            prior: Weight of the popularity prior in each item's row [m].
            shares: Probabilities of the prior, above zero [m].
            floor: Order of users without history [m].
        """
        self._recent, self._chain, self._prior = recent, chain, prior
        self._shares, self._floor = shares, floor

    def lists(self, users: IntArray, excluded: Ragged, k: int = LIST_LENGTH) -> IntArray:
        """See `Method.lists`."""
        return rank(self._score, users, excluded, len(self._shares), k)

    def _score(self, users: IntArray) -> FloatArray:
        recent = self._recent[users]
        block = (recent @ self._chain).toarray()
        block += (recent @ self._prior)[:, None] * self._shares
        block[np.diff(recent.indptr) == 0] = self._floor
        return cast(FloatArray, block)


class Markov:
    """See `Family`."""

    name = "markov"
    start = MarkovConfig()

    def __init__(self, training: Training) -> None:
        self.training = training
        self._counts: dict[tuple[float, float | None], sparse.csr_matrix] = {}

    def absent(self) -> str | None:
        """None: the method always applies."""
        return None

    def axes(self) -> Mapping[str, Sequence[object]]:
        """Depth of the history, then fading, smoothing, and the half-life of transitions."""
        return {
            "last": (1, 2, 5, 20, 100),
            "fade": (0.3, 0.5, 0.7, 0.9, 0.97),
            "smoothing": (0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
            "half_life_days": self.training.half_lives(),
        }

    def fit(self, config: MarkovConfig) -> MarkovScores:
        """Counts transitions and reads the last visits of each history."""
        training = self.training
        counts = self._transitions(config.fade, config.half_life_days)
        mass = np.asarray(counts.sum(axis=1)).ravel()
        chain = counts.copy()
        chain.data /= np.repeat(mass + config.smoothing, np.diff(counts.indptr))
        decay = training.fit.decay(training.popular_half_life, training.now)
        popular = np.bincount(training.fit.rows, weights=decay, minlength=len(mass))
        # The floor orders items without events, or whose weight has decayed to nothing.
        shares = popular / max(popular.sum(), 1e-12) + 1e-9 * (training.floor + 3.0)
        visits, steps = self._history
        near = steps < config.last
        recent = visits.where(near).matrix(config.fade ** steps[near].astype(np.float64))
        prior = config.smoothing / (mass + config.smoothing)
        return MarkovScores(
            recent, chain.astype(np.float32), prior.astype(np.float32), shares.astype(np.float32), training.floor
        )

    @cached_property
    def _history(self) -> tuple[EventLog, Int64Array]:
        """Visits of the histories by user and time, and the number of the user's later visits [n]."""
        visits = _sequences(self.training.history)
        ends = np.cumsum(np.bincount(visits.users, minlength=len(visits.user_ids)))
        return visits, ends[visits.users] - 1 - np.arange(len(visits))

    @cached_property
    def _sequence(self) -> EventLog:
        return _sequences(self.training.fit)

    def _transitions(self, fade: float, half_life_days: float | None) -> sparse.csr_matrix:
        """Decayed number of times that an item followed another, float64 CSR [m, m]."""
        key = fade, half_life_days
        if key not in self._counts:
            visits = self._sequence
            weights = visits.decay(half_life_days, self.training.now)
            self._counts[key] = count_transitions(
                (visits.users, visits.rows, weights),
                len(visits.item_ids),
                fade,
                repeats_some=self.training.repeats_some,
            )
        return self._counts[key]


def _sequences(events: EventLog) -> EventLog:
    """Distinct visits in the order of users, and of time within each user; ties in file order."""
    visits = events.distinct()
    order = np.lexsort((visits.times, visits.users))
    return replace(
        visits,
        users=visits.users[order],
        rows=visits.rows[order],
        times=visits.times[order],
        grades=visits.grades[order],
    )
