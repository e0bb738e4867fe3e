"""Keeps the item being viewed out of the items shown beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import UserColumns
from inference.candidates.query import CandidateSet, Query
from inference.models.artifacts import Artifacts


@dataclass(frozen=True)
class SeedFilter:
    """Removes the query's seed item."""

    artifacts: Artifacts
    name: str = "seed"

    def __call__(
        self, queries: Sequence[Query], _users: UserColumns, candidates: CandidateSet
    ) -> npt.NDArray[np.bool_]:
        """Whether each candidate is another item than the seed [n]."""
        mask: npt.NDArray[np.bool_] = candidates.rows != self.artifacts.seed_rows(queries)[candidates.query_index]
        return mask
