"""Opens the live record that belongs to an online store."""

from __future__ import annotations

from inference.feature_store.live.record import LiveStore
from inference.feature_store.live.redis import RedisLiveStore
from inference.feature_store.live.sqlite import SqliteLiveStore
from inference.feature_store.project import StoreSettings


def live_store(settings: StoreSettings) -> LiveStore:
    """The live record of a dataset, in Redis or in a file; it connects on first use."""
    return RedisLiveStore(settings) if settings.redis else SqliteLiveStore(settings)
