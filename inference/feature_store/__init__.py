"""The only adapter to Feast: it returns the state of users and items at a time as columns.

Reads (online and historical) and fills the feature store. Feast types stay inside this package: its functions return
`UserColumns` and `ItemColumns`, with integer rows of the row map.
"""

import feature_repo.definitions  # noqa: F401 - the quick way to import Feast comes before the others

# isort: split
from inference.feature_store.filling import materialize
from inference.feature_store.filling_lock import filling_lock
from inference.feature_store.freshness import Freshness
from inference.feature_store.live.opening import live_store
from inference.feature_store.live.record import LiveEvent, LiveStore
from inference.feature_store.online import FeatureReader, OnlineFeatures
from inference.feature_store.past.join import PointInTimeJoin
from inference.feature_store.project import StoreSettings, online_settings
from inference.feature_store.pruning import prune_features

__all__ = [
    "FeatureReader",
    "Freshness",
    "LiveEvent",
    "LiveStore",
    "OnlineFeatures",
    "PointInTimeJoin",
    "StoreSettings",
    "filling_lock",
    "live_store",
    "materialize",
    "online_settings",
    "prune_features",
]
