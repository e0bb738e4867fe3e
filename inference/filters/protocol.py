"""The protocol of filters: a filter decides which candidates may be shown, and never changes their order."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np

from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet


class Filter(Protocol):
    """Removes candidates for one reason.

    Attributes:
        name: The reason in the metric `recs_filtered_total{reason=}`.
    """

    name: ClassVar[str]

    def __call__(self, batch: Batch, candidates: CandidateSet, /) -> Mask:
        """Returns whether each candidate stays [n]."""

    def applies(self, batch: Batch, /) -> Mask:
        """Returns whether the filter applies to each query [q]; candidates of other queries stay."""
        return np.ones(len(batch), dtype=np.bool_)
