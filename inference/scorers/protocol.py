"""What a scorer is: it gives every candidate a score and calibrated probabilities; it never drops or reorders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from feature_repo.features.state import FloatArray
from inference.candidates.query import CandidateSet


class Scorer(Protocol):
    """Scores hydrated candidates."""

    def score(
        self, candidates: CandidateSet, bundle_version: str, deadline: float | None = None, /
    ) -> tuple[FloatArray, Mapping[str, FloatArray]]:
        """Scores [n] and, by objective, probabilities [n].

        Args:
            candidates: With features [n, F].
            bundle_version: The bundle whose ranker has to answer.
            deadline: `time.monotonic()` by which the answer is wanted, None for no hurry.

        Raises:
            PredictorError: If there is no usable answer in time.
        """


class Ranker(Protocol):
    """A model that scores feature rows, on whatever device it lives (`scorers/lightgbm.py`)."""

    def score(self, features: FloatArray) -> tuple[FloatArray, Mapping[str, FloatArray]]:
        """Scores [n] and, by objective, probabilities [n] of feature rows [n, F]."""
