"""The ranker's training rows as columns. Where they come from is `groups.py`; what is learned from them, `fit.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class RankingRows:
    """Rows of g groups; rows of a group stand together.

    Attributes:
        features: In `FeatureSet.ranker_features` order [n, F].
        grades: Strongest objective reached, 0 for none [n].
        labels: 0/1 for each objective, weakest first [n, num_objectives].
        brought: Whether a source brought it within its quota, as every candidate in serving is [n].
        shown: Whether the log says that the item was shown [n].
        positions: Position it was shown at, -1 where not shown or unknown [n].
        outcomes: Place of the row in the outcomes of its `Groups`, -1 for a candidate without an outcome [n].
        group_sizes: Rows of each group [g].
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
        """Which group each row belongs to [n]."""
        return np.repeat(np.arange(len(self.group_sizes)), self.group_sizes)

    def learnable(self) -> RankingRows:
        """Rows that LambdaMART compares: candidates that sources brought, of groups with a positive among them.

        Items that were shown or acted on although no source brought them calibrate probabilities, but are no part of a
        ranking: where nothing but an outcome puts a row into a group, a poor retrieval score would look like a virtue.
        """
        counts = np.bincount(self.group_index[self.brought & (self.grades > 0)], minlength=len(self.group_sizes))
        return self.keep(self.brought & (counts > 0)[self.group_index])

    def keep(self, mask: npt.NDArray[np.bool_]) -> RankingRows:
        """The rows where `mask` [n] is true; groups left empty are dropped."""
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
        """All parts of the same groups one after the other; at least one."""
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
