"""The one adapter to Feast: what is known of users and items at a time, as columns.

Owns reading (online and historical) and filling of the feature store. Refuses Feast types beyond its edge: what
leaves are `UserColumns` and `ItemColumns`, in integer rows of the row map.
"""

import feature_repo.definitions  # noqa: F401 - the quick way to import Feast comes before the others

# isort: split
from inference.feature_store.filling import materialize
from inference.feature_store.freshness import Freshness
from inference.feature_store.history import PointInTimeJoin
from inference.feature_store.online import FeatureReader, OnlineFeatures
from inference.feature_store.project import StoreSettings, online_settings, redis_connection

__all__ = [
    "FeatureReader",
    "Freshness",
    "OnlineFeatures",
    "PointInTimeJoin",
    "StoreSettings",
    "materialize",
    "online_settings",
    "redis_connection",
]
