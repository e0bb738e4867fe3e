"""A lease in Redis with redis-py's Lock: a key with a time to live, which only its holder extends and deletes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from redis.backoff import ConstantBackoff
from redis.exceptions import LockError, RedisError
from redis.lock import Lock
from redis.retry import Retry

from feature_repo.errors import StorageError
from feature_repo.storage.redis_address import RedisAddress

TIMEOUT_SECONDS = 5.0


class RedisLease:
    """The lease of a dataset's retraining.

    Args:
        address: Complete address of the Redis, see `RedisAddress`.
        dataset: Name of the dataset.
        token: Identifies the process that takes the lease.
    """

    def __init__(self, address: str, dataset: str, token: str) -> None:
        self._token = token
        self._client = RedisAddress.parse(address).client(TIMEOUT_SECONDS, Retry(ConstantBackoff(0.2), 2))
        # thread_local=False: the thread that renews the lease is not the thread that took it.
        self._lock = Lock(self._client, f"kuberec:{dataset}:retraining", thread_local=False)

    def acquire(self, seconds: float) -> str | None:
        self._lock.timeout = seconds
        with self._translated_errors():
            if self._lock.acquire(blocking=False, token=self._token):
                return None
            holder: Any = self._client.get(self._lock.name)
            left: Any = self._client.pttl(self._lock.name)
        name = holder.decode(errors="replace") if holder else "another process"
        return f"{name} holds the lease for {max(left, 0) / 1000:.0f} s, or longer if it renews it"

    def extend(self, seconds: float) -> bool:
        with self._translated_errors():
            try:
                return bool(self._lock.extend(seconds, replace_ttl=True))
            except LockError:
                return False

    def release(self) -> None:
        with self._translated_errors(), contextlib.suppress(LockError):  # the lease has expired: nothing to release
            self._lock.release()

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            raise StorageError(
                f"The lease of the retraining cannot be read from Redis ({error}): check KUBEREC_REDIS and the server."
            ) from error
