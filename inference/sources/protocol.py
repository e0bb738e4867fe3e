"""What a source is: it answers a batch of queries with item rows, best first. It knows no other source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from feature_repo.features.state import FloatArray, IntArray, OffsetArray, UserColumns
from inference.candidates.query import Query


@dataclass(frozen=True, slots=True)
class Found:
    """Items that one source found for q queries.

    Attributes:
        offsets: [q + 1].
        rows: Item rows [n], distinct within a query, best first.
        scores: The source's own score [n], higher is better.
        vectors: What the source searched with [q, d], zero where it did not; None for a source without vectors.
    """

    offsets: OffsetArray
    rows: IntArray
    scores: FloatArray
    vectors: FloatArray | None = None

    def first(self, k: int) -> Found:
        """The k best of each query; the rest scores candidates that other sources bring, and brings none."""
        counts = np.diff(self.offsets)
        if not len(counts) or counts.max() <= k:
            return self
        place = np.arange(len(self.rows)) - np.repeat(self.offsets[:-1], counts)
        offsets = np.concatenate(([0], np.cumsum(np.minimum(counts, k)))).astype(np.int64)
        return Found(offsets, self.rows[place < k], self.scores[place < k], self.vectors)

    @classmethod
    def nothing(cls, num_queries: int) -> Found:
        """No item for any query."""
        return cls(np.zeros(num_queries + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))

    @classmethod
    def lists(cls, lists: Sequence[tuple[IntArray, FloatArray]]) -> Found:
        """One (rows, scores) pair a query."""
        if not lists:
            return cls.nothing(0)
        offsets = np.zeros(len(lists) + 1, dtype=np.int64)
        np.cumsum([len(rows) for rows, _ in lists], out=offsets[1:])
        return cls(
            offsets,
            np.concatenate([rows for rows, _ in lists]).astype(np.int32, copy=False),
            np.concatenate([scores for _, scores in lists]).astype(np.float32, copy=False),
        )


class Source(Protocol):
    """One way to candidates."""

    @property
    def name(self) -> str:
        """Its name in `FeatureSet.sources`."""

    def __call__(self, queries: Sequence[Query], users: UserColumns, k: int, /) -> Found:
        """At most `k` items for each query; none where the source does not apply."""
