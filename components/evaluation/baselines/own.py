"""The user's own items by frequency and recency, then popular items.

The strength of an item is its decayed number of visits, rounded to a step; popularity breaks ties within a step. In a
shop with repeat purchases most items were bought once, so the tie-break matters as much as the count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.evaluation.baselines.method import Config, Training, rank
from components.evaluation.metrics import LIST_LENGTH
from components.evaluation.protocols.log import EventLog, Ragged
from feature_repo.features.state import FloatArray, IntArray


class OwnConfig(Config):
    """Half-life of visit weights in days (None: no decay), and the step to which strengths are rounded."""

    half_life_days: float | None = None
    step: float = 1.0


class OwnThenPopular:
    """Strength of every own item, followed by the popular order."""

    def __init__(self, training: Training, history: EventLog, config: OwnConfig) -> None:
        self._floor = training.floor
        self._strength = history.matrix(history.decay(config.half_life_days, training.now))
        steps = np.round(self._strength.data / config.step)
        self._strength.data = (steps + self._floor[self._strength.indices] + 3.0).astype(np.float32)

    def lists(self, users: IntArray, excluded: Ragged, k: int = LIST_LENGTH) -> IntArray:
        """See `Method.lists`."""
        return rank(self._score, users, excluded, len(self._floor), k)

    def _score(self, users: IntArray) -> FloatArray:
        own = self._strength[users].toarray()
        return np.where(own > 0, own, self._floor)


class Own:
    """See `Family`."""

    name = "own"
    start = OwnConfig()

    def __init__(self, training: Training) -> None:
        self.training = training
        self._visits = training.history.distinct()

    def absent(self) -> str | None:
        """The reason if no own item may come again, else None."""
        return None if self.training.repeats_some else "no own item may come again under this protocol and repeats rule"

    def axes(self) -> Mapping[str, Sequence[object]]:
        """Half-life, then the step."""
        return {"half_life_days": self.training.half_lives(), "step": (1.0, 0.3, 0.1)}

    def fit(self, config: OwnConfig) -> OwnThenPopular:
        """Weights the history."""
        return OwnThenPopular(self.training, self._visits, config)
