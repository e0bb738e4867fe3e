"""Candidates that other users chose next, after the items that this user chose last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from feature_repo.features.state import FloatArray, IntArray
from inference.models.neighbours import Followers, Neighbours
from inference.models.part import Part
from inference.sources.voting import VotingSource


@dataclass(frozen=True)
class TransitionsSource(VotingSource):
    """Followers of the user's last items; direction and order count, unlike in co-visitation."""

    name: ClassVar[str] = "transitions"
    quota: ClassVar[int] = 50
    reach: ClassVar[int] = 1000
    table: ClassVar[type[Neighbours]] = Followers
    parts: ClassVar[tuple[type[Part], ...]] = (Followers,)

    def votes(self, steps: IntArray, days: FloatArray) -> FloatArray:  # noqa: ARG002
        """Fades the vote with every later event."""
        return (self.artifacts.part(Followers).fade ** steps.astype(np.float32)).astype(np.float32)
