"""The protocol of selectors: a selector chooses which ranked candidates a slate shows, and in which order."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet


class Selector(Protocol):
    """One step from ranked candidates to a slate; the order of the returned set is the display order.

    Attributes:
        name: Stage name in timings.
    """

    name: ClassVar[str]

    def __call__(self, batch: Batch, candidates: CandidateSet, /) -> CandidateSet:
        """Returns some of each query's candidates in display order, with their features."""

    def applies(self, batch: Batch, /) -> Mask:
        """Returns whether the selector applies to each query [q]; candidates of other queries stay unchanged."""
        return np.ones(len(batch), dtype=np.bool_)
