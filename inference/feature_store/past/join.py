"""Feast's point-in-time join: the stored values of users and items as of past times."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.definitions import TIMESTAMP_FIELD, feature_objects
from feature_repo.features.feature_set import FeatureSet
from inference.feature_store.project import applied, drop_engine_at_exit, quiet, repo_config

PLACE = "_place"


class PointInTimeJoin:
    """Feast's point-in-time join over snapshots, with a temporary registry.

    Args:
        snapshots: Directory of the snapshot files.
        feature_set: Names the columns.
    """

    def __init__(self, snapshots: Path, feature_set: FeatureSet) -> None:
        drop_engine_at_exit()
        self._folder = tempfile.TemporaryDirectory(prefix="kuberec-registry-")
        config = repo_config("history", Path(self._folder.name), None, joins=True)
        self._store = applied(config, feature_objects(feature_set, snapshots))

    def close(self) -> None:
        """Removes the registry."""
        self._folder.cleanup()

    def users(self, user_ids: Sequence[str], stamps: npt.NDArray[np.int64]) -> pa.Table:
        """Returns stored numbers and texts of users [n] as of microseconds [n], in the given order; null if unknown."""
        return self._join("users", "user_id", user_ids, stamps)

    def items(self, item_ids: Sequence[str], stamps: npt.NDArray[np.int64]) -> pa.Table:
        """Returns all stored values of items [n] as of microseconds [n], in the given order; null if unknown."""
        return self._join("items", "item_id", item_ids, stamps)

    def _join(self, service: str, key: str, ids: Sequence[str], stamps: npt.NDArray[np.int64]) -> pa.Table:
        entities = pa.table(
            {
                key: pa.array(ids, pa.string()),
                TIMESTAMP_FIELD: pa.array(stamps, pa.timestamp("us", tz="UTC")),
                PLACE: np.arange(len(ids)),
            }
        )
        with quiet():
            joined = self._store.get_historical_features(
                entity_df=entities.to_pandas(), features=self._store.get_feature_service(service)
            ).to_arrow()
        return joined.sort_by(PLACE)
