"""The in-process scorer: it calls a ranker directly, for evaluation, batch and tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from feature_repo.errors import PredictorError
from inference.candidates.batch import Batch
from inference.candidates.query import CandidateSet
from inference.scorers.protocol import Ranker, Scorer, Scores


@dataclass(frozen=True)
class LocalScorer(Scorer):
    """Scores with a ranker in this process; the caller must pass the ranker of the right bundle.

    Attributes:
        ranker: The ranker.
        with_probabilities: Whether the caller reads probabilities; orders alone cost a part of the time.
    """

    ranker: Ranker
    with_probabilities: bool = True

    name: ClassVar[str] = "ranker"

    def score(self, _batch: Batch, candidates: CandidateSet, _deadline: float | None = None) -> Scores:
        """Returns scores [n] and, if they are wanted, probabilities by objective [n].

        Raises:
            PredictorError: The candidates have no features.
        """
        if candidates.features is None:
            raise PredictorError("Candidates without features cannot be ranked: hydrate them first.")
        if not self.with_probabilities:
            return self.ranker.order(candidates.features), {}
        return self.ranker.score(candidates.features)
