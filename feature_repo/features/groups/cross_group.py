"""The interface of a feature group of user and item together, and its input.

The module does not import Ibis, because serving imports these groups. Candidates of q queries are ragged: candidate j
has item row `rows[j]` and belongs to query `query_index[j]`, which is also the index of its user in `UserColumns`. A
group does no Python work per candidate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.state import IntArray, ItemColumns, TimeArray, UserColumns

IndexArray = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Pairs:
    """n pairs of a query's user and a candidate item.

    Attributes:
        now: Query time of each candidate, unix seconds [n].
        users: State of the queries' users [q].
        items: The catalogue [m].
        query_index: Query of each candidate [n].
        rows: Item row of each candidate [n].
        anchors: Row of the item each query starts from, -1 for none [q]; see `transforms.anchor_rows`.
        feature_set: Names the columns.
        wanted: `feature_set.cross_numeric` as a set.
    """

    now: TimeArray
    users: UserColumns
    items: ItemColumns
    query_index: IndexArray
    rows: IntArray
    anchors: IndexArray
    feature_set: FeatureSet
    wanted: frozenset[str]

    def __len__(self) -> int:
        return len(self.rows)

    def of_user(self, name: str) -> npt.NDArray[np.float32]:
        """A numeric column of the queries' users [q]."""
        return self.users.numeric[:, self.feature_set.user_numeric.index(name)]


class CrossGroup(ABC):
    """Columns of user and item together that exist under the same condition."""

    @abstractmethod
    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        """Names that the group adds to the feature set, in order; empty if the dataset has no data for them."""

    @abstractmethod
    def compute(self, pairs: Pairs) -> Columns:
        """Values [n] of at least the wanted columns of this group, by name; NaN is missing."""
