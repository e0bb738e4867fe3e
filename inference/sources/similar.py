"""Candidates of a linear model that predicts each item from the other items of a history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from feature_repo.features.state import FloatArray, IntArray
from inference.models.neighbours import Neighbours, Predictors
from inference.models.part import Part
from inference.sources.voting import VotingSource


@dataclass(frozen=True)
class SimilarSource(VotingSource):
    """Items with the highest prediction; unlike co-visitation, items of the history do not repeat each other's vote."""

    name: ClassVar[str] = "similar"
    quota: ClassVar[int] = 100
    reach: ClassVar[int] = 1000
    table: ClassVar[type[Neighbours]] = Predictors
    parts: ClassVar[tuple[type[Part], ...]] = (Predictors,)

    def votes(self, steps: IntArray, days: FloatArray) -> FloatArray:  # noqa: ARG002
        """Fades the vote with the age of the event."""
        votes: FloatArray = np.exp2(-days / self.artifacts.part(Predictors).half_life_days).astype(np.float32)
        return votes
