"""Candidates that say the same as the user's recent items: similar text, category, brand, seller and other columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from feature_repo.features.state import FloatArray, IntArray
from inference.candidates.batch import Batch, Mask
from inference.models.neighbours import ContentNeighbours, Neighbours
from inference.models.part import Part
from inference.models.wording import Wording
from inference.sources.voting import VotingSource

RECENCY_EVENTS = 10.0  # number of later events that halve the vote of a history event


@dataclass(frozen=True)
class ContentSource(VotingSource):
    """Items whose content is close to that of the history; unlike other tables, it knows items without an event."""

    name: ClassVar[str] = "content"
    quota: ClassVar[int] = 100
    reach: ClassVar[int] = 1000
    seeded: ClassVar[bool] = True
    table: ClassVar[type[Neighbours]] = ContentNeighbours
    parts: ClassVar[tuple[type[Part], ...]] = (ContentNeighbours,)

    def votes(self, steps: IntArray, days: FloatArray) -> FloatArray:  # noqa: ARG002
        """Halves the vote every `RECENCY_EVENTS` events."""
        return np.exp2(-steps / RECENCY_EVENTS).astype(np.float32)

    def applies(self, batch: Batch) -> Mask:
        """Returns whether the release has the table [q]; logs without content have none."""
        return np.full(len(batch), self.artifacts.find(ContentNeighbours) is not None)

    def reason(self, words: Wording, row: int, grade: int) -> str:  # noqa: ARG002
        """Names the history item, which need not be chosen by the same users."""
        return f"Similar to {words.title(row)}"

    def seeded_reason(self, words: Wording, row: int) -> str:
        """Names the seed."""
        return f"Similar to {words.title(row)}"
