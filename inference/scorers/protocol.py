"""What a scorer is: it gives every candidate a score and calibrated probabilities; it never drops or reorders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

import numpy as np

from feature_repo.features.state import FloatArray
from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet

Scores = tuple[FloatArray, Mapping[str, FloatArray]]  # scores [n] and, by objective, probabilities [n]


class Scorer(Protocol):
    """Scores hydrated candidates. Several run one after the other; each sees the scores of those before it.

    Attributes:
        name: Stage name in timings, and what `degraded` says where it failed.
    """

    name: ClassVar[str]

    def score(self, batch: Batch, candidates: CandidateSet, deadline: float | None = None, /) -> Scores:
        """Scores [n] and, by objective, probabilities [n].

        Args:
            batch: The queries with their users, and the bundle whose ranker has to answer.
            candidates: Candidates of the batch with features [n, F].
            deadline: `time.monotonic()` by which the answer is wanted, None without a deadline.

        Raises:
            PredictorError: There is no usable answer in time.
        """

    def applies(self, batch: Batch, /) -> Mask:
        """The queries [q] whose candidates it scores, of those that are ranked at all."""
        return np.ones(len(batch), dtype=np.bool_)


class Ranker(Protocol):
    """A model that scores feature rows, on whatever device it runs (`scorers/ranker.py` opens one)."""

    def score(self, features: FloatArray) -> Scores:
        """Scores [n] and, by objective, probabilities [n] of feature rows [n, F]."""
