"""What a filter is: it says which candidates may be shown, never in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import UserColumns
from inference.candidates.query import CandidateSet, Query


class Filter(Protocol):
    """One reason not to show an item."""

    @property
    def name(self) -> str:
        """The reason, as it is counted: `recs_filtered_total{reason=}`."""

    def __call__(
        self, queries: Sequence[Query], users: UserColumns, candidates: CandidateSet, /
    ) -> npt.NDArray[np.bool_]:
        """Whether each candidate stays [n]."""
