"""Candidates that many take now: of the user's country, else of all; on `similar`, of the seed's category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from feature_repo.features.state import FloatArray, IntArray, UserColumns
from inference.candidates.query import Query
from inference.models.artifacts import Artifacts
from inference.sources.protocol import Found


@dataclass(frozen=True)
class PopularSource:
    """The popular list; the one source that answers every query, and tops up what the others leave short."""

    artifacts: Artifacts
    name: str = "popular"

    def __call__(self, queries: Sequence[Query], users: UserColumns, k: int) -> Found:
        """The k most popular items for each query, scored by (shrunk) share of events."""
        seeds = self.artifacts.seed_rows(queries)
        known: dict[tuple[str, int], tuple[IntArray, FloatArray]] = {}
        lists = []
        for query, country, seed in zip(queries, users.country, seeds, strict=True):
            category = self.artifacts.category_code(int(seed)) if query.surface == "similar" else 0
            key = (query.country or str(country), category)
            if key not in known:
                known[key] = self._in_category(category, k) if category else self.artifacts.popularity.top(key[0], k)
            lists.append(known[key])
        return Found.lists(lists)

    @cached_property
    def everything(self) -> IntArray:
        """Every item row, most popular first: what is left when the lists run out [m]."""
        return np.argsort(-self.artifacts.popularity.score, kind="stable").astype(np.int32)

    def _in_category(self, category: int, k: int) -> tuple[IntArray, FloatArray]:
        rows = np.flatnonzero(self.artifacts.categories == category).astype(np.int32)
        score = self.artifacts.popularity.score
        total = max(float(score.sum()), 1e-12)
        rows = rows[np.argsort(-score[rows], kind="stable")[:k]]
        return rows, (score[rows] / total).astype(np.float32)
