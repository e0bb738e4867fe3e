"""Keeps out what the query names: items of earlier pages, or whatever the caller does not want again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import UserColumns
from inference.candidates.query import CandidateSet, Query
from inference.candidates.ragged import contains
from inference.models.artifacts import Artifacts


@dataclass(frozen=True)
class ExcludeFilter:
    """Removes `Query.exclude`."""

    artifacts: Artifacts
    name: str = "exclude"

    def __call__(
        self, queries: Sequence[Query], _users: UserColumns, candidates: CandidateSet
    ) -> npt.NDArray[np.bool_]:
        """Whether each candidate is not excluded [n]."""
        num_items = len(self.artifacts.items)
        keys = []
        for place, query in enumerate(queries):
            if query.exclude:
                rows = self.artifacts.rows_of(query.exclude)
                keys.append(place * num_items + rows[rows >= 0].astype(np.int64))
        if not keys:
            return np.ones(len(candidates), dtype=np.bool_)
        return ~contains(candidates.query_index * num_items + candidates.rows, np.sort(np.concatenate(keys)))
