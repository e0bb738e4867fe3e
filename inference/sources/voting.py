"""The base of sources whose candidates are the items that a history votes for, through a table of neighbours."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from feature_repo.dataset.split import DAY
from feature_repo.features.state import FloatArray, IntArray, OffsetArray
from inference.candidates.batch import Batch
from inference.candidates.found import Found
from inference.candidates.ragged import offsets_from_owners, owners_from_offsets, ranks
from inference.candidates.surfaces import surface_of
from inference.models.artifacts import Artifacts
from inference.models.neighbours import Neighbours
from inference.models.wording import Wording
from inference.sources.protocol import Source


@dataclass(frozen=True)
class VotingSource(Source):
    """Sums the weights of the table's rows for the items of the history, each row times the vote of its event.

    The item that the client views right now (`last_item_id`) votes like the latest event. On a seeded surface only the
    seed votes.

    Attributes:
        table: Class of the table that the source reads.
    """

    artifacts: Artifacts

    table: ClassVar[type[Neighbours]]

    @abstractmethod
    def votes(self, steps: IntArray, days: FloatArray) -> FloatArray:
        """Returns the vote of each event of the histories [n].

        Args:
            steps: Number of later events of the same history [n].
            days: Age of the event at the query, days [n].
        """

    def __call__(self, batch: Batch, k: int) -> Found:
        """Returns at most k items of each query, scored by their summed votes."""
        offsets, rows, votes = self.seeds(batch)
        return Found(*self.artifacts.part(self.table).vote(offsets, rows, votes, k))

    def seeds(self, batch: Batch) -> tuple[OffsetArray, IntArray, FloatArray]:
        """Returns the offsets [q + 1], rows [n] and votes [n] of the items whose neighbours are candidates."""
        queries, history = batch.queries, batch.users.history
        owners = owners_from_offsets(history.offsets)
        steps = np.diff(history.offsets)[owners] - 1 - ranks(history.offsets)
        days = np.maximum(batch.times[owners] - history.times, 0.0) / DAY
        seeded = batch.seeded
        extra = np.where(seeded, self.artifacts.seed_rows(queries), self.artifacts.last_rows(queries))
        asked = np.flatnonzero(extra >= 0)
        kept = ~seeded[owners]
        votes = self.votes(np.append(steps[kept], np.zeros_like(asked)), np.append(days[kept], np.zeros(len(asked))))
        owners = np.concatenate([owners[kept], asked])
        rows = np.concatenate([history.rows[kept], extra[asked]]).astype(np.int32)
        order = np.argsort(owners, kind="stable")
        return offsets_from_owners(owners, len(queries)), rows[order], votes[order].astype(np.float32)

    def reasons(self, batch: Batch, place: int, rows: IntArray) -> Sequence[str | None]:
        """Names the history item that is the closest neighbour; on a seeded surface, the seed."""
        words = Wording(self.artifacts)
        query = batch.queries[place]
        if surface_of(batch.queries[place].surface).seeded:
            seed = self.artifacts.row_of(query.item_id)
            return [self.seeded_reason(words, seed) if seed >= 0 else None] * len(rows)
        history = batch.users.history
        first, stop = int(history.offsets[place]), int(history.offsets[place + 1])
        seeds, grades = history.rows[first:stop], history.grades[first:stop].astype(np.int64)
        last = self.artifacts.row_of(query.last_item_id)
        if last >= 0:
            seeds, grades = np.append(seeds, np.int32(last)), np.append(grades, 1)
        if len(seeds) == 0:
            return [None] * len(rows)
        weight = self.artifacts.part(self.table).weight(np.tile(seeds, len(rows)), np.repeat(rows, len(seeds)))
        weight = weight.reshape(len(rows), len(seeds))
        strongest = len(seeds) - 1 - np.argmax(weight[:, ::-1], axis=1)  # the latest of equal ones
        return [
            self.reason(words, int(seeds[seed]), int(grades[seed])) if line[seed] > 0 else None
            for line, seed in zip(weight, strongest.tolist(), strict=True)
        ]

    def reason(self, words: Wording, row: int, grade: int) -> str:
        """Returns the sentence for the neighbours of a history item."""
        return f"Because you {words.did(grade, words.title(row))}"

    def seeded_reason(self, words: Wording, row: int) -> str:
        """Returns the sentence for the neighbours of the seed of a seeded surface."""
        return f"Others who chose {words.title(row)} chose this too"
