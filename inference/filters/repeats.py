"""Keeps the user's own items out as far as the dataset's `repeats` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import UserColumns
from inference.candidates.query import CandidateSet, Query
from inference.candidates.ragged import contains, owners_from_offsets
from inference.candidates.repeats import ruled_out
from inference.models.artifacts import Artifacts


@dataclass(frozen=True)
class RepeatsFilter:
    """Removes own items that may not come again, counted over the whole history."""

    artifacts: Artifacts
    name: str = "repeats"

    def __call__(
        self, _queries: Sequence[Query], users: UserColumns, candidates: CandidateSet
    ) -> npt.NDArray[np.bool_]:
        """Whether each candidate may come (again) [n]."""
        own = users.own
        barred = ruled_out(own, self.artifacts.feature_set)
        num_items = len(self.artifacts.items)
        keys = (owners_from_offsets(own.offsets) * num_items + own.rows)[barred]
        return ~contains(candidates.query_index * num_items + candidates.rows, keys)
