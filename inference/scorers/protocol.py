"""The protocol of scorers: a scorer scores every candidate, and never drops or reorders candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

import numpy as np

from feature_repo.features.state import FloatArray
from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet

Scores = tuple[FloatArray, Mapping[str, FloatArray]]  # scores [n] and, by objective, probabilities [n]


class Scorer(Protocol):
    """Scores hydrated candidates. Scorers run one after the other, and each sees the scores of the previous scorers.

    Attributes:
        name: Stage name in timings, and the mark in `degraded` if the scorer fails.
    """

    name: ClassVar[str]

    def score(self, batch: Batch, candidates: CandidateSet, deadline: float | None = None, /) -> Scores:
        """Returns scores [n] and, by objective, probabilities [n].

        Args:
            batch: The queries with their users, and the version of the bundle whose ranker must answer.
            candidates: Candidates of the batch with features [n, F].
            deadline: `time.monotonic()` at which the answer is due, None without a deadline.

        Raises:
            PredictorError: No valid answer arrived in time.
        """

    def applies(self, batch: Batch, /) -> Mask:
        """Returns whether the scorer applies to each query [q], among the queries that are ranked."""
        return np.ones(len(batch), dtype=np.bool_)


class Ranker(Protocol):
    """A model that scores feature rows, on any device (`scorers/ranker.py` opens rankers)."""

    def score(self, features: FloatArray) -> Scores:
        """Returns scores [n] and, by objective, probabilities [n] of feature rows [n, F]."""

    def order(self, features: FloatArray) -> FloatArray:
        """Returns only the scores [n] of `score`."""
