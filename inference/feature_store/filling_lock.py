"""The lock of a feature set while one process fills it: in Redis, or on a file next to the SQLite file.

Two processes that fill the same keys at the same time would leave a mixture. The lock also shows a process that removes
unused keys that a release is under way. The lock of a killed process ends by itself.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from feature_repo.errors import FeatureStoreError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.storage.redis_address import RedisAddress
from inference.feature_store.project import StoreSettings

if TYPE_CHECKING:
    from redis.lock import Lock

LOCK_SECONDS = 120.0  # until the lock in Redis of a killed process ends; publishing a bundle takes less
WAIT_SECONDS = 600.0  # a fill of a million users takes minutes
TIMEOUT_SECONDS = 5.0
LOCK_FILE = "filling.lock"


class FillingLock:
    """A held lock.

    Args:
        lock: The lock in Redis; None for a lock on a file, which lasts as long as the process.
    """

    def __init__(self, lock: Lock | None = None) -> None:
        self._lock = lock

    def keep(self) -> None:
        """Renews the lock.

        Raises:
            FeatureStoreError: The lock is lost: Redis was emptied meanwhile, or the process paused for too long.
        """
        if self._lock is None:
            return
        from redis.exceptions import LockError, RedisError

        try:
            self._lock.reacquire()
        except LockError as error:
            raise FeatureStoreError(
                "The lock of the online store was lost while it was filled, so Redis was emptied or another process "
                "fills it: run the same command again."
            ) from error
        except (RedisError, OSError) as error:
            raise FeatureStoreError(f"The lock of the online store cannot be renewed: {error}.") from error


@contextmanager
def filling_lock(settings: StoreSettings, feature_set: FeatureSet) -> Iterator[FillingLock]:
    """Holds the lock of a feature set; waits while another process holds it.

    Args:
        settings: Place of the online features.
        feature_set: The feature set.

    Raises:
        FeatureStoreError: Another process holds it for longer than `WAIT_SECONDS`, or Redis cannot be reached.
    """
    project = settings.project(feature_set.hash)
    if not settings.redis:
        with _locked_file(settings.sqlite_file(feature_set).parent):
            yield FillingLock()
        return
    from redis.backoff import ConstantBackoff  # only if Redis is configured
    from redis.exceptions import RedisError
    from redis.retry import Retry

    client = RedisAddress.parse(settings.redis).client(TIMEOUT_SECONDS, Retry(ConstantBackoff(0.2), 2))
    lock = client.lock(lock_key(project), timeout=LOCK_SECONDS, sleep=0.2)
    try:
        is_mine = lock.acquire(blocking_timeout=WAIT_SECONDS)
    except (RedisError, OSError) as error:
        raise FeatureStoreError(f"The online store cannot be filled: {str(error).rstrip('.')}.") from error
    if not is_mine:
        raise _taken(project)
    try:
        yield FillingLock(lock)
    finally:
        with suppress(RedisError, OSError):  # it ends by itself, and an error of the block matters more
            lock.release()
        client.close()


def lock_key(project: str) -> str:
    """The key of a project's lock in Redis."""
    return f"kuberec:{project}:filling"


@contextmanager
def _locked_file(folder: Path) -> Iterator[None]:
    deadline = time.monotonic() + WAIT_SECONDS
    path = folder / LOCK_FILE
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            while not try_lock(file.fileno()):
                if time.monotonic() > deadline:
                    raise _taken(folder.name)
                time.sleep(0.2)
            if _is_at(path, file.fileno()):  # a `prune` may have removed the folder meanwhile
                yield
                return


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def try_lock(file: int) -> bool:
    """Locks an open file without waiting; returns whether it is locked now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken(project: str) -> FeatureStoreError:
    return FeatureStoreError(
        f"Another process has been filling the online store {project} for {WAIT_SECONDS / 60:.0f} minutes: wait, "
        "then run the same command again."
    )
