"""Candidates among items that no user has chosen yet, by content alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from feature_repo.features.state import FloatArray, IntArray
from inference.candidates.batch import Batch
from inference.candidates.found import Found
from inference.candidates.ragged import offsets_from_owners, owners_from_offsets, ranks
from inference.models.artifacts import Artifacts
from inference.models.part import Part
from inference.models.popularity import Popularity
from inference.models.towers import Towers
from inference.sources.protocol import Source

RECENCY_EVENTS = 10.0  # number of later events that halve the weight of a history event
MOST_FRESH = 5_000  # newest items without an event that are compared, so that a request takes bounded time


@dataclass(frozen=True)
class FreshSource(Source):
    """Items without an event, nearest to the mean vector of the history.

    Among all items, those without an event are far down by the inner product with the user's vector, because vectors of
    known items hold their popularity. Among themselves they are ordered by content. The mean vector of the history
    orders them better than the user's vector, and it needs no run of the user tower.

    An item needs a known creation time: in a replay, an item without it may be one that the log mentions only later.
    """

    artifacts: Artifacts

    name: ClassVar[str] = "fresh"
    quota: ClassVar[int] = 50
    parts: ClassVar[tuple[type[Part], ...]] = (Towers, Popularity)

    def __call__(self, batch: Batch, k: int) -> Found:
        """Returns at most k items for each query with a history; the vectors score candidates of other sources too."""
        towers, history = self.artifacts.find(Towers), batch.users.history
        asked = np.flatnonzero(np.diff(history.offsets))
        if towers is None or not len(asked) or not len(self.rows):
            return Found.nothing(len(batch))
        vectors = self._means(batch, towers.embeddings)
        scores = vectors[asked] @ towers.embeddings[self.rows].T
        scores[self.artifacts.items.created_at[self.rows][None] > batch.times[asked][:, None]] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(scores, best, axis=1)
        kept = np.isfinite(found)
        owners = np.broadcast_to(asked[:, None], best.shape)[kept]
        offsets = offsets_from_owners(owners, len(batch))
        return Found(offsets, self.rows[best[kept]], found[kept], vectors, towers.embeddings)

    def reasons(self, batch: Batch, place: int, rows: IntArray) -> Sequence[str | None]:  # noqa: ARG002
        """Says that the item is new here."""
        return ["New, and close to what you chose"] * len(rows)

    @cached_property
    def rows(self) -> IntArray:
        """The newest items without an event that may be shown, at most `MOST_FRESH`."""
        items = self.artifacts.items
        unseen = self.artifacts.part(Popularity).score == 0
        rows = np.flatnonzero(unseen & items.available & np.isfinite(items.created_at))
        newest = np.argsort(-items.created_at[rows], kind="stable")[:MOST_FRESH]
        return np.sort(rows[newest]).astype(np.int32)

    def _means(self, batch: Batch, embeddings: FloatArray) -> FloatArray:
        """Unit means of the vectors of each history, recent events with more weight; zero without a history [q, d]."""
        history = batch.users.history
        owners = owners_from_offsets(history.offsets)
        steps = np.diff(history.offsets)[owners] - 1 - ranks(history.offsets)
        weights = np.exp2(-steps / RECENCY_EVENTS)
        weighted = np.zeros((len(batch), embeddings.shape[1]))
        filled = np.flatnonzero(np.diff(history.offsets))
        if len(filled):
            weighted[filled] = np.add.reduceat(
                weights[:, None] * embeddings[history.rows], history.offsets[filled], axis=0
            )
        lengths = np.linalg.norm(weighted, axis=1, keepdims=True)
        return (weighted / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
