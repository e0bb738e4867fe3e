"""The freshness record: when the online features were computed. It is written after all features.

A server reads the catalogue again only if the record has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from feature_repo.definitions import FRESHNESS_KEY, FRESHNESS_RECORD
from inference.feature_store.values import Record, entity_key, numbers_of

KEY = entity_key(FRESHNESS_KEY, FRESHNESS_RECORD)


@dataclass(frozen=True, slots=True)
class Freshness:
    """The content of the record.

    Attributes:
        computed_at: Wall time at which the features were computed, unix seconds.
        as_of: Time of the log that the features reflect, unix seconds.
    """

    computed_at: float
    as_of: float

    @classmethod
    def of(cls, records: Sequence[Record | None]) -> Freshness | None:
        """Parses the record that was read for `KEY`; None if there is no record."""
        computed_at, as_of = (float(numbers_of(records, name)[0]) for name in ("computed_at", "as_of"))
        return None if np.isnan(computed_at) or np.isnan(as_of) else cls(computed_at, as_of)

    def row(self) -> tuple[EntityKey, dict[str, Value], datetime, datetime | None]:
        """Returns the record in Feast's form."""
        values = {"computed_at": Value(double_val=self.computed_at), "as_of": Value(double_val=self.as_of)}
        return KEY, values, datetime.fromtimestamp(self.computed_at, UTC), None
