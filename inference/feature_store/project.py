"""The Feast project of a dataset, cutoff and feature set: its location and its Feast configuration."""

from __future__ import annotations

import atexit
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from feast import FeatureStore, RepoConfig

from feature_repo.definitions import FeatureObjects, project_name
from feature_repo.errors import SettingsError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.storage.folder import local_path
from inference.bundles.manifest import Facts

REDIS_TIMEOUT_SECONDS = 1.0
NEVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class StoreSettings:
    """Names the online features and their location.

    Attributes:
        directory: Holds the registry and, without Redis, the SQLite files; one folder per project.
        dataset: Name of the dataset.
        stage: Name of the cutoff: rank, test or final.
        redis: `host:port`, a `redis://` or `rediss://` address, or Feast's own connection string; "" for SQLite.
    """

    directory: Path
    dataset: str
    stage: str = "final"
    redis: str = ""

    def config(self, feature_set: FeatureSet, *, joins: bool = False) -> RepoConfig:
        """Feast's configuration of the project of a feature set; `joins` needs DuckDB, which servers lack."""
        online: dict[str, Any] = {"type": "sqlite", "path": str(self.sqlite_file(feature_set))}
        if self.redis:
            # A single writer writes whole rows, so that a rollback may restore older values.
            online = {"type": "redis", "connection_string": redis_connection(self.redis), "skip_dedup": True}
        project = project_name(self.dataset, self.stage, feature_set)
        return repo_config(project, (self.directory / project).absolute(), online, joins=joins)

    def sqlite_file(self, feature_set: FeatureSet) -> Path:
        """Absolute path of the SQLite file of a feature set."""
        return (self.directory / project_name(self.dataset, self.stage, feature_set) / "online.db").absolute()


def online_settings(store: str, facts: Facts, redis: str, scratch: Path) -> StoreSettings:
    """The location of the online features of a release.

    Args:
        store: The dataset's store, a directory or URL.
        facts: Facts of the release, which name the features.
        redis: Address of a Redis, "" for SQLite in the store.
        scratch: Holds Feast's registry if the store is not a directory; readers create their own registry.

    Raises:
        SettingsError: The store is behind a URL, so it cannot hold SQLite files, and no Redis is named.
    """
    directory = local_path(store)
    if directory is not None:
        return StoreSettings(directory / "online", facts.dataset, facts.stage, redis)
    if not redis:
        raise SettingsError(f"{store} cannot hold online features: name a Redis server in the parameter redis.")
    return StoreSettings(scratch, facts.dataset, facts.stage, redis)


def redis_connection(address: str) -> str:
    """Feast's connection string of a Redis address, with timeouts so that an unresponsive server counts as down.

    Args:
        address: `host:port`, `redis://[user:password@]host[:port][/db]`, `rediss://...`, or Feast's own string.
    """
    if "://" in address:
        parts = urlsplit(address)
        options = {"db": parts.path.strip("/"), "username": parts.username, "password": parts.password}
        named = [f"{name}={value}" for name, value in options.items() if value]
        secure = ["ssl=true"] if parts.scheme == "rediss" else []
        address = ",".join([f"{parts.hostname}:{parts.port or 6379}", *named, *secure])
    timeouts = {"socket_timeout": REDIS_TIMEOUT_SECONDS, "socket_connect_timeout": REDIS_TIMEOUT_SECONDS}
    return ",".join([address, *(f"{name}={value}" for name, value in timeouts.items() if f"{name}=" not in address)])


def repo_config(project: str, folder: Path, online: Mapping[str, Any] | None, *, joins: bool) -> RepoConfig:
    """Feast's configuration with the registry in a folder; without `online` there is no online store."""
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        return RepoConfig(
            project=project,
            provider="local",
            registry={"path": str(folder / "registry.db"), "cache_ttl_seconds": 0},  # 0: never refreshed
            online_store=online,
            offline_store={"type": "duckdb" if joins else "dask"},
            entity_key_serialization_version=3,
        )


def applied(config: RepoConfig, objects: FeatureObjects) -> FeatureStore:
    """A feature store with these objects in its registry."""
    with quiet():
        store = FeatureStore(config=config)
        store.apply(objects.all())
    return store


@contextmanager
def quiet() -> Iterator[None]:
    """Suppresses deprecation warnings between Feast and Ibis, which this code cannot fix."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def drop_engine_at_exit() -> None:
    """Closes Ibis' default connection at exit, in which Feast joins: DuckDB must not outlive the interpreter."""
    import ibis  # only for joins: the serving image lacks Ibis

    atexit.register(setattr, ibis.options, "default_backend", None)


def failures(settings: StoreSettings) -> tuple[type[Exception], ...]:
    """Exceptions of an online store that cannot be reached or read."""
    if not settings.redis:
        return (sqlite3.Error, OSError)
    from redis.exceptions import RedisError  # only if Redis is configured

    return (RedisError, OSError)
