"""What a filter is: it says which candidates may be shown, never in which order."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet


class Filter(Protocol):
    """One reason not to show an item.

    Attributes:
        name: The reason, as it is counted: `recs_filtered_total{reason=}`.
    """

    name: ClassVar[str]

    def __call__(self, batch: Batch, candidates: CandidateSet, /) -> Mask:
        """Whether each candidate stays [n]."""

    def applies(self, batch: Batch, /) -> Mask:
        """The queries [q] whose candidates it judges; the candidates of the others stay."""
        return np.ones(len(batch), dtype=np.bool_)
