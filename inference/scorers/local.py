"""The scorer of one process: a ranker beside the recommender, for evaluation, batch and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from feature_repo.errors import PredictorError
from feature_repo.features.state import FloatArray
from inference.candidates.query import CandidateSet
from inference.scorers.protocol import Ranker


@dataclass(frozen=True)
class LocalScorer:
    """Scores with a ranker in this process; the bundle version is the caller's business."""

    ranker: Ranker

    def score(
        self, candidates: CandidateSet, _bundle_version: str = "", _deadline: float | None = None, /
    ) -> tuple[FloatArray, Mapping[str, FloatArray]]:
        """Scores [n] and probabilities by objective [n].

        Raises:
            PredictorError: If the candidates carry no features.
        """
        if candidates.features is None:
            raise PredictorError("Candidates without features cannot be ranked: hydrate them first.")
        return self.ranker.score(candidates.features)
