"""Candidates that other users chose together with the user's recent items, or with the seed of a seeded surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from feature_repo.features.state import FloatArray, IntArray
from inference.models.neighbours import Neighbours
from inference.models.part import Part
from inference.sources.voting import VotingSource

RECENCY_EVENTS = 10.0  # number of later events that halve the vote of a history event


@dataclass(frozen=True)
class CovisitationSource(VotingSource):
    """Neighbours of the items in the history; recent events have more votes."""

    name: ClassVar[str] = "covisitation"
    quota: ClassVar[int] = 100
    reach: ClassVar[int] = 1000
    seeded: ClassVar[bool] = True
    table: ClassVar[type[Neighbours]] = Neighbours
    parts: ClassVar[tuple[type[Part], ...]] = (Neighbours,)

    def votes(self, steps: IntArray, days: FloatArray) -> FloatArray:  # noqa: ARG002
        """Halves the vote every `RECENCY_EVENTS` events."""
        return np.exp2(-steps / RECENCY_EVENTS).astype(np.float32)
