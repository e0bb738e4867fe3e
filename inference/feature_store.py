"""The one adapter to Feast: what is known of users and items at a time, as columns.

Owns reading (online and historical) and filling of the feature store. Refuses Feast types beyond its edge: what
leaves are `UserColumns` and `ItemColumns`, in integer rows of the row map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from feature_repo.state import ItemColumns, TimeArray, UserColumns


class FeatureReader(Protocol):
    """Reads state as of a time; the online and the historical store answer alike."""

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        """State of users as of their queries' times.

        Args:
            user_ids: Ids [q], need not be known, may repeat.
            times: Unix seconds [q]. The online store holds one state a user, the newest; times set the ages.

        Raises:
            FeatureStoreError: The store cannot be read.
        """
        ...

    def items(self, time: float) -> ItemColumns:
        """The catalogue as of a time, aligned to the row map; the online store has the newest only.

        Raises:
            FeatureStoreError: The store cannot be read.
        """
        ...
