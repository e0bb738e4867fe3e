"""Candidates that the user chose before, as far as the dataset's `repeats` allows them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from feature_repo.features.ages import decayed_count
from feature_repo.features.state import IntArray
from inference.candidates.batch import Batch
from inference.candidates.found import Found
from inference.candidates.ragged import best, offsets_from_owners, owners_from_offsets
from inference.candidates.repeats import ruled_out
from inference.models.artifacts import Artifacts
from inference.models.part import Part
from inference.models.popularity import Popularity
from inference.models.wording import Wording
from inference.sources.protocol import Source


@dataclass(frozen=True)
class OwnSource(Source):
    """The user's own items by frequency and recency, without items that have only negative events."""

    artifacts: Artifacts

    name: ClassVar[str] = "own"
    quota: ClassVar[int] = 50
    reach: ClassVar[int] = 1000
    parts: ClassVar[tuple[type[Part], ...]] = (Popularity,)

    def __call__(self, batch: Batch, k: int) -> Found:
        """Returns at most k own items of each query; score: decayed count times the root of all users' count."""
        own = batch.users.own
        owners = owners_from_offsets(own.offsets)
        kept = np.flatnonzero((own.counts > 0) & ~ruled_out(own, self.artifacts.feature_set))
        if len(kept) == 0:
            return Found.nothing(len(batch))
        owners = owners[kept]
        days = self.artifacts.config.own_half_life_days
        faded = decayed_count(own.counts[kept], own.first[kept], own.last[kept], batch.times[owners], days)
        popularity = self.artifacts.part(Popularity).score[own.rows[kept]]
        scores = (faded * np.sqrt(1.0 + popularity)).astype(np.float32)
        chosen = best(owners, scores, k, len(batch))
        return Found(offsets_from_owners(owners[chosen], len(batch)), own.rows[kept[chosen]], scores[chosen])

    def reasons(self, batch: Batch, place: int, rows: IntArray) -> Sequence[str | None]:
        """Names what the user did with the item before."""
        words, own = Wording(self.artifacts), batch.users.own
        first, stop = int(own.offsets[place]), int(own.offsets[place + 1])
        sentences: list[str | None] = []
        for row in rows.tolist():
            at = first + int(np.searchsorted(own.rows[first:stop], row))
            grade = int(own.grades[at]) if at < stop and own.rows[at] == row else 0
            sentences.append(f"You {words.did(grade, 'this')} before")
        return sentences
