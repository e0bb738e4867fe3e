"""A lease in Redis, on redis-py's Lock: one key with a time to live, extended and deleted by its holder alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import LockError, RedisError
from redis.lock import Lock
from redis.retry import Retry

from feature_repo.errors import StorageError
from inference.feature_store import redis_connection

TIMEOUT_SECONDS = 5.0


class RedisLease:
    """The lease of a dataset's retraining.

    Args:
        address: Of the Redis, in any form the online store takes.
        dataset: Name of the dataset.
        token: Who wants it.
    """

    def __init__(self, address: str, dataset: str, token: str) -> None:
        self._token = token
        self._client = _client(address)
        # thread_local=False: the thread that keeps it alive is not the one that took it.
        self._lock = Lock(self._client, f"kuberec:{dataset}:retraining", thread_local=False)

    def acquire(self, seconds: float) -> str | None:
        self._lock.timeout = seconds
        with self._asking():
            if self._lock.acquire(blocking=False, token=self._token):
                return None
            holder: Any = self._client.get(self._lock.name)
            left: Any = self._client.pttl(self._lock.name)
        name = holder.decode(errors="replace") if holder else "somebody"
        return f"{name} holds it for {max(left, 0) / 1000:.0f} s yet, and longer if it renews it"

    def extend(self, seconds: float) -> bool:
        with self._asking():
            try:
                return bool(self._lock.extend(seconds, replace_ttl=True))
            except LockError:
                return False

    def release(self) -> None:
        with self._asking(), contextlib.suppress(LockError):  # it ended before: nothing to give back
            self._lock.release()

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            raise StorageError(
                f"the lease of the retraining cannot be had from Redis ({error}): check KUBEREC_REDIS and the server."
            ) from error


def _client(address: str) -> redis.Redis:
    """A client of the server that the online store uses."""
    host, *options = redis_connection(address).split(",")
    given = dict(option.split("=", 1) for option in options)
    name, _, port = host.rpartition(":")
    return redis.Redis(
        host=name,
        port=int(port),
        db=int(given.get("db", 0)),
        username=given.get("username"),
        password=given.get("password"),
        ssl=given.get("ssl", "false").lower() == "true",
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(ConstantBackoff(0.2), 2),
    )
