"""Selects the best candidates by score, as many as each query requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from inference.candidates.batch import Batch
from inference.candidates.query import CandidateSet
from inference.models.artifacts import Artifacts
from inference.selectors.protocol import Selector


@dataclass(frozen=True)
class BestSelector(Selector):
    """Selects the `count` best candidates of each query, best first; equal scores are ordered by item row."""

    artifacts: Artifacts

    name: ClassVar[str] = "best"

    def __call__(self, batch: Batch, candidates: CandidateSet) -> CandidateSet:
        """Returns the best candidates of each query."""
        return candidates.best(np.array([query.count for query in batch.queries]), with_features=True)
