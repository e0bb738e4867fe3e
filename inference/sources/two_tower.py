"""Candidates near the user in the embedding space, or near the seed item of a seeded surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from feature_repo.features.state import IntArray
from inference.candidates.batch import Batch
from inference.candidates.found import Found
from inference.candidates.ragged import offsets_from_owners
from inference.candidates.surfaces import surface_of
from inference.models.artifacts import Artifacts
from inference.models.part import Part
from inference.models.towers import Towers
from inference.models.wording import Wording
from inference.sources.protocol import Source

TASTE_COLUMNS = ("category", "brand")  # columns for reason sentences, the more informative column first


@dataclass(frozen=True)
class TwoTowerSource(Source):
    """Nearest items by inner product.

    A user whom the store does not know has no vector, so the query gets no items here and falls back to popular items.
    """

    artifacts: Artifacts

    name: ClassVar[str] = "two_tower"
    quota: ClassVar[int] = 300
    reach: ClassVar[int] = 500  # own items that must not come again are removed from the list
    seeded: ClassVar[bool] = True
    parts: ClassVar[tuple[type[Part], ...]] = (Towers,)

    def __call__(self, batch: Batch, k: int) -> Found:
        """Returns at most k nearest items of each query, scored by inner product; none if the release has no towers."""
        towers, seeded = self.artifacts.find(Towers), batch.seeded
        if towers is None:
            return Found.nothing(len(batch))
        asked = np.flatnonzero(np.where(seeded, self.artifacts.seed_rows(batch.queries) >= 0, batch.users.known))
        if len(asked) == 0:
            return Found.nothing(len(batch))
        vectors = np.zeros((len(batch), towers.embeddings.shape[1]), dtype=np.float32)
        if not seeded.all():
            vectors = np.asarray(towers.encoder.encode(batch.users, batch.queries), dtype=np.float32)
        if seeded.any():
            seeds = self.artifacts.seed_rows(batch.queries)
            known = seeded & (seeds >= 0)
            vectors[known] = towers.embeddings[seeds[known]]
        rows, scores = towers.index.search(vectors[asked], k)
        owners = np.repeat(asked, rows.shape[1])
        vectors[np.setdiff1d(np.arange(len(batch)), asked)] = 0.0
        return Found(
            offsets_from_owners(owners, len(batch)), rows.reshape(-1), scores.reshape(-1), vectors, towers.embeddings
        )

    def reasons(self, batch: Batch, place: int, rows: IntArray) -> Sequence[str | None]:
        """Names the seed, or the category or brand that the user's history shares with the item."""
        words = Wording(self.artifacts)
        if surface_of(batch.queries[place].surface).seeded:
            seed = self.artifacts.row_of(batch.queries[place].item_id)
            return [f"Similar to {words.title(seed)}" if seed >= 0 else None] * len(rows)
        tastes = self._tastes(batch, place)
        return [self._picked(int(row), tastes, words) for row in rows]

    def _tastes(self, batch: Batch, place: int) -> dict[str, set[int]]:
        """Returns column -> codes of the items in the user's history."""
        history = batch.users.history
        rows = history.rows[int(history.offsets[place]) : int(history.offsets[place + 1])]
        columns, codes = self.artifacts.feature_set.item_categorical, self.artifacts.items.categorical
        return {name: set(codes[rows, columns.index(name)].tolist()) - {0} for name in TASTE_COLUMNS if name in columns}

    def _picked(self, row: int, tastes: dict[str, set[int]], words: Wording) -> str:
        columns = self.artifacts.feature_set.item_categorical
        for name, codes in tastes.items():
            code = int(self.artifacts.items.categorical[row, columns.index(name)])
            if code in codes:
                text = words.word(name, code)
                if text:
                    return f"Picked for you: {text}"
        return "Picked for you"
