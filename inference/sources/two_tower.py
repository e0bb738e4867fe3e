"""Candidates near the user in the embedding space, or near the seed item on the surface `similar`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from feature_repo.features.state import FloatArray, UserColumns
from inference.candidates.query import Query
from inference.candidates.ragged import offsets_from_owners
from inference.models.artifacts import Artifacts
from inference.sources.protocol import Found


class Encoder(Protocol):
    """What turns users into vectors (`inference/models/encoder.py`)."""

    def encode(self, users: UserColumns, queries: Sequence[Query]) -> FloatArray:
        """L2-normalised user vectors [q, d]."""


@dataclass(frozen=True)
class TwoTowerSource:
    """Nearest items by inner product.

    A user whom the store does not know has no vector: the query gets nothing here and falls to the popular items.
    """

    artifacts: Artifacts
    name: str = "two_tower"

    def __call__(self, queries: Sequence[Query], users: UserColumns, k: int) -> Found:
        """At most k nearest items of each query, scored by inner product."""
        encoder, index = self.artifacts.encoder, self.artifacts.index
        if encoder is None or index is None:
            return Found.nothing(len(queries))
        seeds = self.artifacts.seed_rows(queries)
        by_seed = np.array([query.surface == "similar" for query in queries])
        vectors = np.zeros((len(queries), index.dimension), dtype=np.float32)
        if not by_seed.all():
            vectors = np.asarray(encoder.encode(users, queries), dtype=np.float32)
        if by_seed.any() and self.artifacts.embeddings is not None:
            seeded = by_seed & (seeds >= 0)
            vectors[seeded] = self.artifacts.embeddings[seeds[seeded]]
        asked = np.flatnonzero(np.where(by_seed, seeds >= 0, users.known))
        if len(asked) == 0:
            return Found.nothing(len(queries))
        rows, scores = index.search(vectors[asked], k)
        owners = np.repeat(asked, rows.shape[1])
        vectors[np.setdiff1d(np.arange(len(queries)), asked)] = 0.0
        return Found(offsets_from_owners(owners, len(queries)), rows.reshape(-1), scores.reshape(-1), vectors)
