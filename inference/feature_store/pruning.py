"""Removes online features of feature sets that no kept bundle refers to: keys in Redis, or folders of SQLite files.

Otherwise every training with another feature set would add a key for each user and item until Redis is full. A feature
set that a process fills or releases now has a lock and stays. This module takes the lock of a feature set before it
asks whether a bundle needs it, and removes it under the lock, so that a release that just ended keeps its features.
"""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from feature_repo.definitions import FRESHNESS_KEY
from feature_repo.errors import FeatureStoreError
from feature_repo.storage.redis_address import RedisAddress
from inference.feature_store.filling_lock import LOCK_FILE, LOCK_SECONDS, lock_key, try_lock
from inference.feature_store.project import StoreSettings, failures

if TYPE_CHECKING:
    from redis import Redis
    from redis.lock import Lock

SCAN_KEYS = 1_000  # keys per call, so that no call blocks the server
TIMEOUT_SECONDS = 5.0
JOIN_KEYS = (b"user_id", b"item_id", FRESHNESS_KEY.encode())

Needed = Callable[[], Collection[str]]


def prune_features(settings: StoreSettings, needed: Needed) -> int:
    """Removes the features of a dataset's unused projects.

    Args:
        settings: Dataset, stage and place; only projects of this dataset and stage are removed.
        needed: Returns the projects that bundles of the store need now; they stay.

    Returns:
        Number of removed keys, or of removed folders without Redis.

    Raises:
        FeatureStoreError: Redis cannot be reached, or a folder cannot be removed; some features may be removed.
    """
    if not settings.redis:
        try:
            return _prune_folders(settings, needed)
        except OSError as error:
            raise FeatureStoreError(f"Unused features cannot be removed from {settings.directory}: {error}.") from error
    from redis.backoff import ConstantBackoff  # only if Redis is configured
    from redis.retry import Retry

    client = RedisAddress.parse(settings.redis).client(TIMEOUT_SECONDS, Retry(ConstantBackoff(0.2), 2))
    try:
        return _prune_keys(client, settings, needed)
    except failures(settings) as error:
        raise FeatureStoreError(f"Unused keys of the online store cannot be removed: {error}.") from error
    finally:
        client.close()


def project_of(key: bytes) -> str:
    """Returns the Feast project of a key in Redis; "" for a key of another kind.

    Feast writes the entity key (number of join keys; type, length and name of each; type, length and bytes of the
    value) and then the project, without a separator.
    """
    try:
        num, _, length = struct.unpack_from("<3I", key)
        name = key[12 : 12 + length]
        _, size = struct.unpack_from("<2I", key, 12 + length)
    except struct.error:
        return ""
    is_ours = num == 1 and name in JOIN_KEYS
    return key[12 + length + 8 + size :].decode(errors="replace") if is_ours else ""


def _prune_keys(client: Redis, settings: StoreSettings, needed: Needed) -> int:
    from redis.exceptions import RedisError

    ours, removed = _projects(settings), 0
    locks: dict[str, Lock | None] = dict.fromkeys(needed())  # by project; None for a project that stays
    pattern = f"*{settings.project_prefix}*".encode()
    cursor = 0
    try:
        while True:
            cursor, keys = cast(tuple[int, list[bytes]], client.scan(cursor, match=pattern, count=SCAN_KEYS))
            unused = []
            for key in keys:
                project = project_of(key)
                if not ours.fullmatch(project):
                    continue
                if project not in locks:
                    locks[project] = _lock_of_unused(client, project, needed)
                if locks[project] is not None:
                    unused.append(key)
            if unused:
                for lock in filter(None, locks.values()):
                    lock.reacquire()
                removed += cast(int, client.unlink(*unused))
            if cursor == 0:
                return removed
    finally:
        for lock in filter(None, locks.values()):
            with suppress(RedisError, OSError):  # it ends by itself, and an error of the block matters more
                lock.release()


def _lock_of_unused(client: Redis, project: str, needed: Needed) -> Lock | None:
    """The held lock of a project that nothing needs; None if a process fills it or a bundle needs it."""
    lock: Lock = client.lock(lock_key(project), timeout=LOCK_SECONDS)
    if not lock.acquire(blocking=False):
        return None
    if project in needed():
        lock.release()
        return None
    return lock


def _prune_folders(settings: StoreSettings, needed: Needed) -> int:
    if not settings.directory.is_dir():
        return 0
    ours, removed = _projects(settings), 0
    for folder in sorted(settings.directory.iterdir()):
        if not (folder.is_dir() and ours.fullmatch(folder.name)) or folder.name in needed():
            continue
        with (folder / LOCK_FILE).open("a") as file:
            if try_lock(file.fileno()) and folder.name not in needed():
                shutil.rmtree(folder)
                removed += 1
    return removed


def _projects(settings: StoreSettings) -> re.Pattern[str]:
    return re.compile(re.escape(settings.project_prefix) + "[0-9a-f]{8}")
