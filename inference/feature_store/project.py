"""The Feast project of a dataset, cutoff and feature set: its location and its Feast configuration."""

from __future__ import annotations

import atexit
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

from feast import FeatureStore, RepoConfig
from feast.infra.provider import Provider, get_provider

from feature_repo.definitions import FeatureObjects, project_name
from feature_repo.errors import SettingsError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.storage.folder import local_path
from feature_repo.storage.redis_address import RedisAddress
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
        redis: Complete address of a Redis, see `RedisAddress`; "" for SQLite.
    """

    directory: Path
    dataset: str
    stage: str = "final"
    redis: str = field(default="", repr=False)

    def config(self, feature_set: FeatureSet, *, joins: bool = False) -> RepoConfig:
        """Feast's configuration of the project of a feature set; `joins` needs DuckDB, which servers lack."""
        online: dict[str, Any] = {"type": "sqlite", "path": str(self.sqlite_file(feature_set))}
        if self.redis:
            # A single writer writes whole rows, so that a rollback may restore older values.
            # Feast's own form of an address has no IPv6; `online_provider` connects, and passes no password to Feast.
            place = RedisAddress.parse(self.redis).public
            online = {
                "type": "redis",
                "connection_string": place,
                "skip_dedup": True,
                "full_scan_for_deletion": False,  # `apply` needs no connection
            }
        project = self.project(feature_set.hash)
        return repo_config(project, (self.directory / project).absolute(), online, joins=joins)

    def project(self, feature_hash: str) -> str:
        """The Feast project of a feature set."""
        return project_name(self.dataset, self.stage, feature_hash)

    @property
    def project_prefix(self) -> str:
        """The beginning of the names of all projects of this dataset and stage."""
        return self.project("")

    def sqlite_file(self, feature_set: FeatureSet) -> Path:
        """Absolute path of the SQLite file of a feature set."""
        return (self.directory / self.project(feature_set.hash) / "online.db").absolute()


def online_settings(store: str, facts: Facts, redis: str, scratch: Path) -> StoreSettings:
    """The location of the online features of a release.

    Args:
        store: The dataset's store, a directory or URL.
        facts: Facts of the release, which name the features.
        redis: Complete address of a Redis, "" for SQLite in the store.
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


def online_provider(config: RepoConfig, settings: StoreSettings) -> Provider:
    """Feast's provider of a project.

    A Redis that does not answer counts as down after `REDIS_TIMEOUT_SECONDS`. A failed call is repeated once without a
    pause, because a connection from before a server restart fails on first use. By default the client tries four times
    and sleeps for seconds in between.
    """
    provider = get_provider(config)
    if settings.redis:
        from redis.backoff import NoBackoff  # only if Redis is configured
        from redis.retry import Retry

        client = RedisAddress.parse(settings.redis).client(REDIS_TIMEOUT_SECONDS, Retry(NoBackoff(), 1))
        cast(Any, provider).online_store._client = client
    return provider


def num_keys(provider: Provider) -> int:
    """Number of keys in the database of a Redis."""
    return int(_client(provider).dbsize())


def num_evicted(provider: Provider) -> int:
    """Number of keys that a Redis server has evicted since its start; 0 if this user may not ask."""
    from redis.exceptions import NoPermissionError  # only if Redis is configured

    try:
        return int(_client(provider).info("stats").get("evicted_keys", 0))
    except NoPermissionError:
        return 0


def _client(provider: Provider) -> Any:
    return cast(Any, provider).online_store._client


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
