"""Candidates that are the user's own: taken before, as far as the dataset's `repeats` lets them come again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feature_repo.features.ages import decayed_count
from feature_repo.features.state import UserColumns
from inference.candidates.query import Query
from inference.candidates.ragged import best, offsets_from_owners, owners_from_offsets
from inference.candidates.repeats import ruled_out
from inference.models.artifacts import Artifacts
from inference.sources.protocol import Found


@dataclass(frozen=True)
class OwnSource:
    """The user's own items by frequency and recency; an item only ever turned down is not among them."""

    artifacts: Artifacts
    name: str = "own"

    def __call__(self, queries: Sequence[Query], users: UserColumns, k: int) -> Found:
        """At most k own items of each query, scored by their fading events times the root of what all others do."""
        own = users.own
        owners = owners_from_offsets(own.offsets)
        personal = np.array([query.surface != "similar" for query in queries], dtype=np.bool_)
        allowed = (own.counts > 0) & personal[owners] & ~ruled_out(own, self.artifacts.feature_set)
        kept = np.flatnonzero(allowed)
        if len(kept) == 0:
            return Found.nothing(len(queries))
        owners = owners[kept]
        times = np.array([query.time for query in queries])
        days = self.artifacts.config.own_half_life_days
        faded = decayed_count(own.counts[kept], own.first[kept], own.last[kept], times[owners], days)
        scores = (faded * np.sqrt(1.0 + self.artifacts.popularity.score[own.rows[kept]])).astype(np.float32)
        chosen = best(owners, scores, k, len(queries))
        return Found(offsets_from_owners(owners[chosen], len(queries)), own.rows[kept[chosen]], scores[chosen])
