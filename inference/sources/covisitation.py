"""Candidates that others took together with what the user took lately, or with the seed on the surface `similar`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from feature_repo.features.state import FloatArray, IntArray, OffsetArray, UserColumns
from inference.candidates.query import Query
from inference.candidates.ragged import offsets_from_owners, owners_from_offsets, ranks
from inference.models.artifacts import Artifacts
from inference.sources.protocol import Found

RECENCY_EVENTS = 10.0  # a history event loses half its voice with every so many events after it


@dataclass(frozen=True)
class CovisitationSource:
    """Neighbours of the history, voting with the recency of each event.

    The item a client says it views right now (`last_item_id`) votes as the latest event.
    """

    artifacts: Artifacts
    name: str = "covisitation"

    def __call__(self, queries: Sequence[Query], users: UserColumns, k: int) -> Found:
        """At most k neighbours of each query's seeds, scored by their summed votes."""
        offsets, rows, voices = self.seeds(queries, users)
        return Found(*self.artifacts.neighbours.vote(offsets, rows, voices, k))

    def seeds(self, queries: Sequence[Query], users: UserColumns) -> tuple[OffsetArray, IntArray, FloatArray]:
        """Offsets [q + 1], rows [n] and voices [n] of the items whose neighbours are asked."""
        history = users.history
        owners = owners_from_offsets(history.offsets)
        age = np.diff(history.offsets)[owners] - 1 - ranks(history.offsets)
        by_seed = np.array([query.surface == "similar" for query in queries], dtype=np.bool_)
        extra = np.where(by_seed, self.artifacts.seed_rows(queries), self.artifacts.last_rows(queries))
        asked = np.flatnonzero(extra >= 0)
        kept = ~by_seed[owners]
        owners = np.concatenate([owners[kept], asked])
        rows = np.concatenate([history.rows[kept], extra[asked]]).astype(np.int32)
        voices = np.concatenate([np.exp2(-age[kept] / RECENCY_EVENTS), np.ones(len(asked))]).astype(np.float32)
        order = np.argsort(owners, kind="stable")
        return offsets_from_owners(owners, len(queries)), rows[order], voices[order]
