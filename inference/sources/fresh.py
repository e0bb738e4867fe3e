"""Candidates among items that no user has chosen yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from feature_repo.features.feature_set import WINDOWS
from feature_repo.features.state import FloatArray, History, IntArray
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
CATEGORY_PRIOR = 0.3  # events that every category has in addition to the history
SMALLEST_DEVIATION = 1e-6  # of scores that differ
IMPRESSIONS = tuple(f"num_impressions_{days}d" for days in WINDOWS)
IMPRESSIONS_WEIGHT = 0.3  # of each window of impressions, where content and category have 1


@dataclass(frozen=True)
class FreshSource(Source):
    """Items without an event, ordered by what the user chose before and by how often the items are shown.

    Among all items, those without an event are far down by the inner product with the user's vector, because vectors of
    known items hold their popularity. Among themselves they are ordered by the sum of three standard scores:

    - content: cosine of the item's vector, less the mean of the items without an event, with the mean vector of the
      history, less the mean of the items with an event. The means hold what all new items share. The mean vector of the
      history orders them better than the user's vector, and it needs no run of the user tower;
    - category: log of the number of history events in the item's category;
    - exposure: log of the impressions in each window. An item that is shown somewhere is more likely to be found.
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
        means = self._means(batch, towers.embeddings)
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        vectors = (means / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
        known, unseen = self._centred
        scores = _standardised(((means[asked] - known) @ unseen.T).astype(np.float32, copy=False)) + self._exposure
        scores += _standardised(self._categories(batch)[asked][:, self.artifacts.categories[self.rows]])
        scores[self.artifacts.items.created_at[self.rows][None] > batch.times[asked][:, None]] = -np.inf
        near = np.sort(np.argpartition(-scores, min(k, scores.shape[1]) - 1, axis=1)[:, :k], axis=1)
        values = np.take_along_axis(scores, near, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        best, found = np.take_along_axis(near, order, axis=1), np.take_along_axis(values, order, axis=1)
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
        rows = np.flatnonzero(self.artifacts.unseen & items.available)
        newest = np.argsort(-items.created_at[rows], kind="stable")[:MOST_FRESH]
        return np.sort(rows[newest]).astype(np.int32)

    @cached_property
    def _centred(self) -> tuple[FloatArray, FloatArray]:
        """Mean vector of the items with an event [d], and unit vectors of `rows` around their mean [f, d]."""
        embeddings = self.artifacts.part(Towers).embeddings
        seen = self.artifacts.part(Popularity).score > 0
        known: FloatArray = embeddings[seen].mean(axis=0) if seen.any() else np.zeros_like(embeddings[0])
        unseen: FloatArray = embeddings[self.rows] - embeddings[self.rows].mean(axis=0)
        lengths = np.linalg.norm(unseen, axis=1, keepdims=True)
        return known, (unseen / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)

    @cached_property
    def _exposure(self) -> FloatArray:
        """Standard score of the impressions of `rows` [f]; 0 without impressions in the log."""
        names = self.artifacts.feature_set.item_numeric
        columns = [names.index(name) for name in names if name in IMPRESSIONS]
        shown = np.nan_to_num(self.artifacts.items.numeric[self.rows][:, columns])
        scores: FloatArray = IMPRESSIONS_WEIGHT * _standardised(np.log1p(shown).T).sum(axis=0)
        return scores

    def _means(self, batch: Batch, embeddings: FloatArray) -> FloatArray:
        """Weighted mean of the vectors of each history; zero without a history [q, d]."""
        history = batch.users.history
        weights = _weights(history)
        sums = np.zeros((len(batch), embeddings.shape[1] + 1))
        filled = np.flatnonzero(np.diff(history.offsets))
        if len(filled):
            weighted = weights[:, None] * np.column_stack([embeddings[history.rows], np.ones(len(weights))])
            sums[filled] = np.add.reduceat(weighted, history.offsets[filled], axis=0)
        means: FloatArray = (sums[:, :-1] / np.where(sums[:, -1:] > 0, sums[:, -1:], 1.0)).astype(np.float32)
        return means

    def _categories(self, batch: Batch) -> FloatArray:
        """Log of the weighted number of events of each history in each category [q, categories]."""
        history, categories = batch.users.history, self.artifacts.categories
        num = int(categories.max(initial=0)) + 1
        cells = owners_from_offsets(history.offsets) * num + categories[history.rows]
        counts = np.bincount(cells, weights=_weights(history), minlength=len(batch) * num).reshape(-1, num)
        counts[:, 0] = 0.0  # an unknown category
        logs: FloatArray = np.log(CATEGORY_PRIOR + counts).astype(np.float32)
        return logs


def _weights(history: History) -> npt.NDArray[np.float64]:
    """Weight of each history event, recent ones the highest [n]."""
    steps = np.diff(history.offsets)[owners_from_offsets(history.offsets)] - 1 - ranks(history.offsets)
    weights: npt.NDArray[np.float64] = np.exp2(-steps / RECENCY_EVENTS)
    return weights


def _standardised(scores: FloatArray) -> FloatArray:
    """Each row with mean 0 and standard deviation 1; zeros for a constant row."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1, keepdims=True)
    standardised: FloatArray = centred / np.where(deviation > SMALLEST_DEVIATION, deviation, np.float32(np.inf))
    return standardised
