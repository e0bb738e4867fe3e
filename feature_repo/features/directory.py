"""The layout of a features directory, which `components/features` fills.

feature_set.json                       names, order and vocabularies
snapshots/user_stats.parquet           daily activity and profile of users
snapshots/user_history.parquet         last events and own items of users, at each change
snapshots/item_stats.parquet           daily activity, rates and content of items
events.parquet                         positive and negative events by user and time
item_ids.parquet                       the row map: row i is item i
items_static.parquet                   the newest content of every item, aligned to the row map
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from feature_repo.features.feature_set import FeatureSet


@dataclass(frozen=True)
class FeaturesDirectory:
    """Paths and small contents of a features directory."""

    path: Path

    @property
    def feature_set_file(self) -> Path:
        return self.path / "feature_set.json"

    @property
    def snapshots(self) -> Path:
        return self.path / "snapshots"

    @property
    def events_file(self) -> Path:
        return self.path / "events.parquet"

    @property
    def item_ids_file(self) -> Path:
        return self.path / "item_ids.parquet"

    @property
    def items_static_file(self) -> Path:
        return self.path / "items_static.parquet"

    def feature_set(self) -> FeatureSet:
        """The feature set; see `FeatureSet.load`."""
        return FeatureSet.load(self.feature_set_file)

    def item_ids(self) -> npt.NDArray[np.object_]:
        """The row map [m]."""
        ids = pq.read_table(self.item_ids_file)["item_id"].to_pylist()
        return np.array(ids, dtype=object)
