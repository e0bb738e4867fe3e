"""Selects the best candidates by score, as many as each query requests, with the places of items without an event."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet
from inference.candidates.ragged import ranks
from inference.models.artifacts import Artifacts
from inference.models.cold_places import ColdPlaces
from inference.selectors.protocol import Selector


@dataclass(frozen=True)
class BestSelector(Selector):
    """Selects the `count` best candidates of each query, best first; equal scores are ordered by item row.

    If the release has `ColdPlaces`, they hold over all pages of a feed: items in `Query.exclude` count as shown before.
    Lists of similar items have no such places.
    """

    artifacts: Artifacts

    name: ClassVar[str] = "best"

    def __call__(self, batch: Batch, candidates: CandidateSet) -> CandidateSet:
        """Returns the best candidates of each query in display order; scores never rise within a query."""
        counts = np.array([query.count for query in batch.queries])
        shown = np.array([len(query.exclude) for query in batch.queries])
        places = self.artifacts.config.cold_places
        if places is None or (shown + counts <= places.after).all():
            return candidates.best(counts, with_features=True)
        return self._placed(batch, candidates, places, shown, counts)

    def _placed(
        self,
        batch: Batch,
        candidates: CandidateSet,
        places: ColdPlaces,
        shown: npt.NDArray[np.int64],
        counts: npt.NDArray[np.int64],
    ) -> CandidateSet:
        offsets, owners = candidates.offsets, candidates.query_index
        ranked = np.lexsort((candidates.rows, -candidates.score, owners))
        cold = (self.artifacts.unseen[candidates.rows] & self._recommended(candidates))[ranked] & ~batch.seeded[owners]
        keys = places.keys(offsets, cold, shown, self._cold_shown(batch))
        score = candidates.score[ranked]
        # A moved item takes the score of the known item that follows it, so that scores keep descending.
        known, before = np.flatnonzero(~cold), offsets - np.concatenate(([0], np.cumsum(cold)))[offsets]
        follower = before[:-1][owners] + keys
        moved = np.flatnonzero(cold & (follower < before[1:][owners]))
        score[moved] = np.maximum(score[moved], score[known[follower[moved]]])
        order = places.order(offsets, keys, cold)
        order = order[ranks(offsets) < counts[owners]]
        return replace(candidates.take(ranked[order]), score=score[order])

    def _recommended(self, candidates: CandidateSet) -> Mask:
        """Whether a source ranked each candidate within its quota [n]; items that fill up a short list are not moved.

        `flow/topup.py` ranks the items that it adds behind the quotas of all sources.
        """
        nearest = np.fmin.reduce(candidates.source_ranks, axis=1)
        return np.asarray(nearest < max(self.artifacts.config.quotas.values()))

    def _cold_shown(self, batch: Batch) -> npt.NDArray[np.int64]:
        """Number of items without an event on earlier pages [q]."""
        numbers = np.zeros(len(batch), dtype=np.int64)
        for place, query in enumerate(batch.queries):
            if query.exclude:
                rows = self.artifacts.rows_of(query.exclude)
                numbers[place] = np.count_nonzero(self.artifacts.unseen[rows[rows >= 0]])
        return numbers
