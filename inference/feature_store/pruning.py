"""Removes online features of feature sets that no kept bundle refers to: keys in Redis, or folders of SQLite files.

Otherwise every training with another feature set would add a key for each user and item until Redis is full. A feature
set that a process fills or releases now has a lock and stays.
"""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, cast

from feature_repo.definitions import FRESHNESS_KEY
from feature_repo.errors import FeatureStoreError
from feature_repo.storage.redis_address import RedisAddress
from inference.feature_store.filling_lock import LOCK_FILE, lock_key, try_lock
from inference.feature_store.project import StoreSettings, failures

if TYPE_CHECKING:
    from redis import Redis

SCAN_KEYS = 1_000  # keys per call, so that no call blocks the server
TIMEOUT_SECONDS = 5.0
JOIN_KEYS = (b"user_id", b"item_id", FRESHNESS_KEY.encode())


def prune_features(settings: StoreSettings, kept: Collection[str]) -> int:
    """Removes the features of a dataset's unused projects.

    Args:
        settings: Dataset, stage and place; only projects of this dataset and stage are removed.
        kept: Projects that stay.

    Returns:
        Number of removed keys, or of removed folders without Redis.

    Raises:
        FeatureStoreError: Redis cannot be reached; some keys may be removed.
    """
    if not settings.redis:
        return _prune_folders(settings, kept)
    from redis.backoff import ConstantBackoff  # only if Redis is configured
    from redis.retry import Retry

    client = RedisAddress.parse(settings.redis).client(TIMEOUT_SECONDS, Retry(ConstantBackoff(0.2), 2))
    try:
        return _prune_keys(client, settings, kept)
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


def _prune_keys(client: Redis, settings: StoreSettings, kept: Collection[str]) -> int:
    ours, removed = _projects(settings), 0
    used: dict[str, bool] = dict.fromkeys(kept, True)
    pattern = f"*{settings.project_prefix}*".encode()
    cursor = 0
    while True:
        cursor, keys = cast(tuple[int, list[bytes]], client.scan(cursor, match=pattern, count=SCAN_KEYS))
        unused = []
        for key in keys:
            project = project_of(key)
            if not ours.fullmatch(project):
                continue
            if project not in used:
                used[project] = bool(client.exists(lock_key(project)))
            if not used[project]:
                unused.append(key)
        if unused:
            removed += cast(int, client.unlink(*unused))
        if cursor == 0:
            return removed


def _prune_folders(settings: StoreSettings, kept: Collection[str]) -> int:
    if not settings.directory.is_dir():
        return 0
    ours = _projects(settings)
    unused = [
        folder
        for folder in settings.directory.iterdir()
        if folder.is_dir() and ours.fullmatch(folder.name) and folder.name not in kept and not _is_locked(folder)
    ]
    for folder in unused:
        shutil.rmtree(folder)
    return len(unused)


def _projects(settings: StoreSettings) -> re.Pattern[str]:
    return re.compile(re.escape(settings.project_prefix) + "[0-9a-f]{8}")


def _is_locked(folder: Path) -> bool:
    with (folder / LOCK_FILE).open("a") as file:
        return not try_lock(file.fileno())
