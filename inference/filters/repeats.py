"""Removes the user's own items according to the dataset's `repeats`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet
from inference.candidates.ragged import contains
from inference.candidates.repeats import ruled_out_keys
from inference.filters.protocol import Filter
from inference.models.artifacts import Artifacts


@dataclass(frozen=True)
class RepeatsFilter(Filter):
    """Removes own items that must not be recommended again; the whole history counts."""

    artifacts: Artifacts

    name: ClassVar[str] = "repeats"

    def __call__(self, batch: Batch, candidates: CandidateSet) -> Mask:
        """Returns whether each candidate stays [n]."""
        num_items = len(self.artifacts.items)
        barred = ruled_out_keys(batch.users.own, self.artifacts.feature_set, num_items)
        return ~contains(candidates.query_index * num_items + candidates.rows, barred)
