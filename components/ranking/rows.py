"""Training rows of the ranker as columns. `build.py` builds them from groups; `fit.py` learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class RankingRows:
    """Rows of g groups; rows of a group are contiguous.

    Attributes:
        features: In `FeatureSet.ranker_features` order [n, F].
        grades: Strongest objective that was reached, 0 for none [n].
        labels: 0/1 for each objective, weakest first [n, num_objectives].
        brought: Whether a source returned the row within its quota, as for every candidate in serving [n].
        shown: Whether the log says that the item was shown [n].
        positions: Position in the slate, -1 if not shown or unknown [n].
        outcomes: Index of the row in the outcomes of its `Groups`, -1 for a candidate without an outcome [n].
        group_sizes: Number of rows of each group [g].
    """

    features: FloatArray
    grades: npt.NDArray[np.int8]
    labels: npt.NDArray[np.int8]
    brought: npt.NDArray[np.bool_]
    shown: npt.NDArray[np.bool_]
    positions: IntArray
    outcomes: npt.NDArray[np.int64]
    group_sizes: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.grades)

    @property
    def group_index(self) -> npt.NDArray[np.int64]:
        """Index of the group of each row [n]."""
        return np.repeat(np.arange(len(self.group_sizes)), self.group_sizes)

    def learnable(self) -> RankingRows:
        """Rows that LambdaMART compares: candidates that sources returned, in groups with a positive candidate.

        Shown or acted-on items that no source returned calibrate probabilities but are excluded from the ranking. They
        are in their group only because of their outcome, so a poor retrieval score would look like a good sign.
        """
        counts = np.bincount(self.group_index[self.brought & (self.grades > 0)], minlength=len(self.group_sizes))
        return self.keep(self.brought & (counts > 0)[self.group_index])

    def keep(self, mask: npt.NDArray[np.bool_]) -> RankingRows:
        """The rows where `mask` [n] is true; empty groups are dropped."""
        sizes = np.bincount(self.group_index[mask], minlength=len(self.group_sizes))
        return RankingRows(
            features=self.features[mask],
            grades=self.grades[mask],
            labels=self.labels[mask],
            brought=self.brought[mask],
            shown=self.shown[mask],
            positions=self.positions[mask],
            outcomes=self.outcomes[mask],
            group_sizes=sizes[sizes > 0],
        )

    @staticmethod
    def concatenate(parts: Sequence[RankingRows]) -> RankingRows:
        """The parts as one table, in order; at least one part."""
        return RankingRows(
            features=np.concatenate([part.features for part in parts]),
            grades=np.concatenate([part.grades for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            brought=np.concatenate([part.brought for part in parts]),
            shown=np.concatenate([part.shown for part in parts]),
            positions=np.concatenate([part.positions for part in parts]),
            outcomes=np.concatenate([part.outcomes for part in parts]),
            group_sizes=np.concatenate([part.group_sizes for part in parts]),
        )
