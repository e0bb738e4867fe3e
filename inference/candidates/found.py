"""The result of one source, which flows from the sources into the merge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import FloatArray, IntArray, OffsetArray
from inference.candidates.ragged import contains, offsets_from_owners, owners_from_offsets


@dataclass(frozen=True, slots=True)
class Found:
    """Items that one source found for q queries.

    Attributes:
        offsets: Query i has the items `offsets[i]:offsets[i + 1]` [q + 1].
        rows: Item rows [n], distinct within a query, best first.
        scores: The source's own score [n], higher is better.
        vectors: Query vectors of the source's search [q, d], zero for queries without a search; None for a source
            without vectors.
        embeddings: Item vectors [m, d] in the same space, so that the source can score any candidate by inner product.
    """

    offsets: OffsetArray
    rows: IntArray
    scores: FloatArray
    vectors: FloatArray | None = None
    embeddings: FloatArray | None = None

    def first(self, k: int) -> Found:
        """Returns the k best items of each query; the rest of a list only scores candidates of other sources."""
        counts = np.diff(self.offsets)
        if not len(counts) or counts.max() <= k:
            return self
        place = np.arange(len(self.rows)) - np.repeat(self.offsets[:-1], counts)
        offsets = np.concatenate(([0], np.cumsum(np.minimum(counts, k)))).astype(np.int64)
        return Found(offsets, self.rows[place < k], self.scores[place < k], self.vectors, self.embeddings)

    def without(self, keys: npt.NDArray[np.int64], num_items: int) -> Found:
        """Returns the items whose query * num_items + row is not in `keys`, which must be ascending."""
        if not len(keys) or not len(self.rows):
            return self
        owners = owners_from_offsets(self.offsets)
        kept = ~contains(owners * num_items + self.rows, keys)
        offsets = offsets_from_owners(owners[kept], len(self.offsets) - 1)
        return Found(offsets, self.rows[kept], self.scores[kept], self.vectors, self.embeddings)

    def only(self, queries: npt.NDArray[np.bool_]) -> Found:
        """Returns the items of the queries where `queries` [q] is true; the other queries get no item and no vector."""
        if queries.all():
            return self
        counts = np.diff(self.offsets)
        kept = np.repeat(queries, counts)
        offsets = np.concatenate(([0], np.cumsum(np.where(queries, counts, 0)))).astype(np.int64)
        vectors = None if self.vectors is None else np.where(queries[:, None], self.vectors, np.float32(0))
        return Found(offsets, self.rows[kept], self.scores[kept], vectors, self.embeddings)

    @classmethod
    def nothing(cls, num_queries: int) -> Found:
        """Returns a result without items."""
        return cls(np.zeros(num_queries + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))

    @classmethod
    def lists(cls, lists: Sequence[tuple[IntArray, FloatArray]]) -> Found:
        """Makes a result from one (rows, scores) pair per query."""
        if not lists:
            return cls.nothing(0)
        offsets = np.zeros(len(lists) + 1, dtype=np.int64)
        np.cumsum([len(rows) for rows, _ in lists], out=offsets[1:])
        return cls(
            offsets,
            np.concatenate([rows for rows, _ in lists]).astype(np.int32, copy=False),
            np.concatenate([scores for _, scores in lists]).astype(np.float32, copy=False),
        )
