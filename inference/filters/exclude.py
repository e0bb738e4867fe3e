"""Removes the items that the query excludes, such as the items of earlier pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet
from inference.candidates.ragged import contains
from inference.filters.protocol import Filter
from inference.models.artifacts import Artifacts


@dataclass(frozen=True)
class ExcludeFilter(Filter):
    """Removes the items in `Query.exclude`."""

    artifacts: Artifacts

    name: ClassVar[str] = "exclude"

    def applies(self, batch: Batch) -> Mask:
        """Returns whether each query excludes an item [q]."""
        return np.array([bool(query.exclude) for query in batch.queries], dtype=np.bool_)

    def __call__(self, batch: Batch, candidates: CandidateSet) -> Mask:
        """Returns whether each candidate stays [n]."""
        num_items = len(self.artifacts.items)
        keys = [np.zeros(0, dtype=np.int64)]
        for place, query in enumerate(batch.queries):
            if query.exclude:
                rows = self.artifacts.rows_of(query.exclude)
                keys.append(place * num_items + rows[rows >= 0].astype(np.int64))
        return ~contains(candidates.query_index * num_items + candidates.rows, np.sort(np.concatenate(keys)))
