"""Popularity: positive events with exponential decay, the same order for all users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.evaluation.baselines.method import Config, Training, filtered
from components.evaluation.metrics import LIST_LENGTH
from components.evaluation.protocols.log import Ragged
from feature_repo.features.state import IntArray


class PopularConfig(Config):
    """Half-life of event weights in days, None for no decay."""

    half_life_days: float | None = 7.0


class PopularOrder:
    """A fitted order of the catalogue [m]."""

    def __init__(self, order: IntArray) -> None:
        self.order = order

    def lists(self, _users: IntArray, excluded: Ragged, k: int = LIST_LENGTH) -> IntArray:
        """See `Method.lists`."""
        enough = k + int(excluded.counts.max(initial=0))
        return filtered(self.order[None, :enough], excluded, k)


class Popular:
    """See `Family`."""

    name = "popular"
    start = PopularConfig()

    def __init__(self, training: Training) -> None:
        self.training = training

    def absent(self) -> str | None:
        """None: the method always applies."""
        return None

    def axes(self) -> Mapping[str, Sequence[object]]:
        """Only the half-life."""
        return {"half_life_days": self.training.popular_half_lives()}

    def fit(self, config: PopularConfig) -> PopularOrder:
        """Counts the training events."""
        fit, now = self.training.fit, self.training.now
        counts = np.bincount(fit.rows, weights=fit.decay(config.half_life_days, now), minlength=len(fit.item_ids))
        return PopularOrder(np.argsort(-counts, kind="stable").astype(np.int32))
