"""Candidates that are popular now: in the user's country, else overall; on a seeded surface, in the seed's category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import FloatArray, IntArray
from inference.candidates.batch import Batch
from inference.candidates.found import Found
from inference.candidates.surfaces import surface_of
from inference.models.artifacts import Artifacts
from inference.models.part import Part
from inference.models.popularity import Popularity
from inference.models.wording import Wording
from inference.sources.protocol import FallbackSource


@dataclass(frozen=True)
class PopularSource(FallbackSource):
    """The popular list; it answers every query and fills slates for which the other sources find too few items."""

    artifacts: Artifacts

    name: ClassVar[str] = "popular"
    quota: ClassVar[int] = 100
    reach: ClassVar[int] = 1000
    seeded: ClassVar[bool] = True
    parts: ClassVar[tuple[type[Part], ...]] = (Popularity,)

    def __call__(self, batch: Batch, k: int) -> Found:
        """Returns the k most popular items for each query, scored by (shrunk) share of events."""
        popularity, seeds, seeded = self._popularity, self.artifacts.seed_rows(batch.queries), batch.seeded
        known: dict[tuple[str, int], tuple[IntArray, FloatArray]] = {}
        lists = []
        for country, seed, alike in zip(batch.countries, seeds, seeded, strict=True):
            category = self.artifacts.category_code(int(seed)) if alike else 0
            key = (country, category)
            if key not in known:
                known[key] = self._in_category(category, k) if category else popularity.top(country, k)
            lists.append(known[key])
        return Found.lists(lists)

    def weights(self, batch: Batch) -> npt.NDArray[np.float64]:
        """Returns the source's weight; on a seeded surface popular items come after all similar items."""
        config = self.artifacts.config
        return np.where(batch.seeded, config.fallback_weight, config.weights.get(self.name, self.weight))

    def reasons(self, batch: Batch, place: int, rows: IntArray) -> Sequence[str | None]:
        """Names where the item is popular: in the country, on a seeded surface in the category, else everywhere."""
        if surface_of(batch.queries[place].surface).seeded:
            seed = self.artifacts.row_of(batch.queries[place].item_id)
            if seed < 0:
                return ["Popular right now"] * len(rows)
            category = Wording(self.artifacts).category(seed)
            same = self.artifacts.categories[rows] == self.artifacts.category_code(seed)
            return [f"Popular in {category}" if category and alike else "Popular right now" for alike in same]
        query = batch.queries[place]
        country = query.country or str(batch.users.country[place])
        listed = bool(country) and bool((self._popularity.countries == country).any())
        return [f"Popular in {country}" if listed else "Popular right now"] * len(rows)

    @cached_property
    def everything(self) -> IntArray:
        """All item rows, most popular first [m]."""
        return np.argsort(-self._popularity.score, kind="stable").astype(np.int32)

    def shares(self, rows: IntArray) -> FloatArray:
        """Returns each item's share of all events [n]."""
        score = self._popularity.score
        return score[rows] / max(float(score.sum()), 1e-12)

    @property
    def _popularity(self) -> Popularity:
        return self.artifacts.part(Popularity)

    def _in_category(self, category: int, k: int) -> tuple[IntArray, FloatArray]:
        rows = np.flatnonzero(self.artifacts.categories == category).astype(np.int32)
        score = self._popularity.score
        total = max(float(score.sum()), 1e-12)
        rows = rows[np.argsort(-score[rows], kind="stable")[:k]]
        return rows, (score[rows] / total).astype(np.float32)
