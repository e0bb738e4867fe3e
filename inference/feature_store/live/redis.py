"""The live record in Redis: a list for each user, trimmed and renewed with every append."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import cast

from feature_repo.errors import FeatureStoreError
from feature_repo.storage.redis_address import RedisAddress
from inference.feature_store.live.record import KEPT_SECONDS, MOST_EVENTS, LiveEvent
from inference.feature_store.project import REDIS_TIMEOUT_SECONDS, StoreSettings


class RedisLiveStore:
    """See `LiveStore`.

    Args:
        settings: Dataset and address.
    """

    def __init__(self, settings: StoreSettings) -> None:
        from redis.backoff import NoBackoff  # only if Redis is configured
        from redis.exceptions import RedisError
        from redis.retry import Retry

        self._client = RedisAddress.parse(settings.redis).client(REDIS_TIMEOUT_SECONDS, Retry(NoBackoff(), 1))
        self._prefix = f"kuberec:live:{settings.dataset}:"
        self._failures = (RedisError, OSError)

    def append(self, events: Sequence[LiveEvent]) -> None:
        """See `LiveStore.append`; one round trip."""
        pipeline = self._client.pipeline(transaction=True)
        for user_id, mine in groupby(sorted(events, key=lambda event: event.user_id), key=lambda event: event.user_id):
            key = self._prefix + user_id
            pipeline.rpush(key, *(json.dumps(event[1:]) for event in mine))
            pipeline.ltrim(key, -MOST_EVENTS, -1)
            pipeline.expire(key, KEPT_SECONDS)
        try:
            pipeline.execute()
        except self._failures as error:
            raise FeatureStoreError(f"Live events cannot be written to Redis: {error}.") from error

    def read(self, user_ids: Sequence[str]) -> list[list[LiveEvent]]:
        """See `LiveStore.read`; one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for user_id in user_ids:
            pipeline.lrange(self._prefix + user_id, 0, -1)
        try:
            found = cast(list[list[bytes]], pipeline.execute())
        except self._failures as error:
            raise FeatureStoreError(f"Live events cannot be read from Redis: {error}.") from error
        lists = zip(user_ids, found, strict=True)
        return [[LiveEvent(user_id, *json.loads(row)) for row in rows] for user_id, rows in lists]
