"""Popularity: positive events with exponential decay, the same order for all users who ask at the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.evaluation.baselines.method import Config, Training, filtered
from components.evaluation.metrics import LIST_LENGTH
from components.evaluation.protocols.log import Int64Array, Ragged
from feature_repo.dataset.split import DAY_MICROSECONDS
from feature_repo.features.state import IntArray


class PopularConfig(Config):
    """Half-life of event weights in days, None for no decay."""

    half_life_days: float | None = 7.0


class PopularOrder:
    """Fitted orders of the catalogue [t, m], and the place of each user's order [u]."""

    def __init__(self, orders: IntArray, place: Int64Array) -> None:
        self.orders, self._place = orders, place

    def lists(self, users: IntArray, excluded: Ragged, k: int = LIST_LENGTH) -> IntArray:
        """See `Method.lists`."""
        enough = k + int(excluded.counts.max(initial=0))
        return filtered(self.orders[self._place[users], :enough], excluded, k)


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
        """Counts the known events before each moment of the queries."""
        fit = self.training.fit if self.training.counted is None else self.training.counted
        moments, place = self.training.moments()
        ends = np.searchsorted(fit.times, moments)
        orders = np.empty((len(moments), len(fit.item_ids)), dtype=np.int32)
        counts = np.zeros(len(fit.item_ids))
        start, before = 0, int(moments[0])
        for number, (end, now) in enumerate(zip(ends.tolist(), moments.tolist(), strict=True)):
            new = fit.where(np.arange(start, end))
            if config.half_life_days is not None:
                counts *= np.exp2((before - now) / (config.half_life_days * DAY_MICROSECONDS))
            counts += np.bincount(new.rows, weights=new.decay(config.half_life_days, now), minlength=len(counts))
            orders[number] = np.argsort(-counts, kind="stable")
            start, before = end, now
        return PopularOrder(orders, place)
