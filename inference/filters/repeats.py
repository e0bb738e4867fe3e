"""Removes the user's own items according to the dataset's `repeats`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet
from inference.candidates.ragged import contains, owners_from_offsets
from inference.candidates.repeats import ruled_out
from inference.filters.protocol import Filter
from inference.models.artifacts import Artifacts


@dataclass(frozen=True)
class RepeatsFilter(Filter):
    """Removes own items that must not be recommended again; the whole history counts."""

    artifacts: Artifacts

    name: ClassVar[str] = "repeats"

    def __call__(self, batch: Batch, candidates: CandidateSet) -> Mask:
        """Returns whether each candidate stays [n]."""
        own = batch.users.own
        barred = ruled_out(own, self.artifacts.feature_set)
        num_items = len(self.artifacts.items)
        keys = (owners_from_offsets(own.offsets) * num_items + own.rows)[barred]
        return ~contains(candidates.query_index * num_items + candidates.rows, keys)
