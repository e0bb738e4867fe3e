"""The freshness record of a feature set: when its online features were computed, and how many there are.

It is written after all features, so it is also the marker of a filled store. A server reads the catalogue again only if
the record has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from feature_repo.definitions import FRESHNESS_FIELDS, FRESHNESS_KEY, FRESHNESS_RECORD
from inference.feature_store.values import Record, entity_key, numbers_of

KEY = entity_key(FRESHNESS_KEY, FRESHNESS_RECORD)


@dataclass(frozen=True, slots=True)
class Freshness:
    """The content of the record.

    Attributes:
        computed_at: Wall time at which the dataset was read for the features, unix seconds.
        as_of: Time of the log that the features reflect, unix seconds.
        num_users, num_items: Number of users and items that were written; 0 in records of older code.
        num_evicted: Number of keys that the Redis server had evicted by then since its start.
    """

    computed_at: float
    as_of: float
    num_users: int = 0
    num_items: int = 0
    num_evicted: int = 0

    @property
    def num_keys(self) -> int:
        """Number of keys of the feature set in Redis, with the record."""
        return self.num_users + self.num_items + 1

    @classmethod
    def of(cls, records: Sequence[Record | None]) -> Freshness | None:
        """Parses the record that was read for `KEY`; None if there is no record."""
        computed_at, as_of, *counts = (float(numbers_of(records, name)[0]) for name in FRESHNESS_FIELDS)
        if np.isnan(computed_at) or np.isnan(as_of):
            return None
        return cls(computed_at, as_of, *(0 if np.isnan(count) else int(count) for count in counts))

    def row(self) -> tuple[EntityKey, dict[str, Value], datetime, datetime | None]:
        """Returns the record in Feast's form."""
        values = {name: Value(double_val=float(getattr(self, name))) for name in FRESHNESS_FIELDS}
        return KEY, values, datetime.fromtimestamp(self.computed_at, UTC), None
