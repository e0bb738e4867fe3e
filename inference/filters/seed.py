"""Removes the seed item from its own list of similar items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet
from inference.filters.protocol import Filter
from inference.models.artifacts import Artifacts


@dataclass(frozen=True)
class SeedFilter(Filter):
    """Removes the query's seed item."""

    artifacts: Artifacts

    name: ClassVar[str] = "seed"

    def __call__(self, batch: Batch, candidates: CandidateSet) -> Mask:
        """Returns whether each candidate differs from the seed [n]."""
        mask: Mask = candidates.rows != self.artifacts.seed_rows(batch.queries)[candidates.query_index]
        return mask
