"""What a selector is: it chooses which ranked candidates a slate shows, and in which order."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet


class Selector(Protocol):
    """One step from ranked candidates to a slate; the order of the set it returns is the order shown.

    Attributes:
        name: Stage name in timings.
    """

    name: ClassVar[str]

    def __call__(self, batch: Batch, candidates: CandidateSet, /) -> CandidateSet:
        """Some of the candidates of each query, in the order they are to be shown; features stay with them."""

    def applies(self, batch: Batch, /) -> Mask:
        """The queries [q] it selects for; the candidates of the others stay as they are."""
        return np.ones(len(batch), dtype=np.bool_)
