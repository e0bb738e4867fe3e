"""Process settings of the transformer and the predictor."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from feature_repo.dataset.split import DAY
from feature_repo.redis_settings import RedisSettings
from feature_repo.setting_types import BindAddress, Directory, HostPort, OptionalDirectory, Place
from feature_repo.storage.folder import local_path

Seconds = Annotated[float, Field(ge=0.001, le=DAY)]
Threads = Annotated[int, Field(ge=1, le=1024)]


class ServingSettings(RedisSettings):
    """Every setting is the environment variable `KUBEREC_<NAME>`; `RedisSettings` has those of the online store.

    Attributes:
        store: Bundle store, a local directory or s3://.
        online: Directory of the online store's registry and SQLite files; by default `online` in a local store.
        cache: Local directory for copies of bundles from a remote store.
        host: Address the servers bind to.
        http_port, grpc_port: Ports of the servers (the transformer has no gRPC).
        predictor: `host:port` of the predictor's gRPC server.
        clock: wall, log or request, see `api/clock.py`.
        deadline_seconds: Time limit of a request; stages that would exceed it are cut short.
        users_seconds, sources_seconds, ranker_seconds: Time limits of these stages within the deadline.
        poll_seconds: Interval between polls of `current`.
        items_seconds: Interval between polls for a refresh of the online store; a refresh is served within 60 s.
        ranker_threads: Threads of a single ranking.
        request_threads: Maximum number of concurrent requests per server.
        held_bundles: Bundles that an idle predictor holds; a bundle in use is kept in addition.
        grace_seconds: Time for requests to finish after SIGTERM.
        log: Log of slates and events, a local directory or s3://; "" logs nothing and accepts no events.
        spool: Local directory for undelivered rows; by default in a local log, else below the cache.
        log_flush_seconds: Interval between flushes, which bounds the slates that a killed process may lose.
        log_queue: Maximum number of slates that wait for a flush; further slates are lost and counted.
    """

    store: Place = Field(min_length=1)
    online: OptionalDirectory = ""
    cache: Directory = Path(tempfile.gettempdir()) / "kuberec-bundles"
    host: BindAddress = "0.0.0.0"
    http_port: int = Field(default=8080, ge=1, le=65535)
    grpc_port: int = Field(default=8081, ge=1, le=65535)
    predictor: HostPort = "127.0.0.1:8081"
    clock: Literal["wall", "log", "request"] = "wall"
    deadline_seconds: Seconds = 0.15
    users_seconds: Seconds = 0.05
    sources_seconds: Seconds = 0.05
    ranker_seconds: Seconds = 0.06
    poll_seconds: Seconds = 1.0
    items_seconds: Seconds = 15.0
    ranker_threads: Threads = 1
    request_threads: Threads = 4
    held_bundles: int = Field(default=2, ge=2, le=100)
    grace_seconds: int = Field(default=10, ge=0, le=3600)
    log: Place = ""
    spool: OptionalDirectory = ""
    log_flush_seconds: Seconds = 5.0
    log_queue: int = Field(default=10_000, ge=1, le=10_000_000)

    @property
    def online_dir(self) -> Path:
        """Directory of the online store's files."""
        if self.online:
            return Path(self.online)
        store = local_path(self.store)
        return (self.cache if store is None else store) / "online"

    @property
    def spool_dir(self) -> Path:
        """Directory of undelivered rows; each log has a separate spool."""
        if self.spool:
            return Path(self.spool)
        log = local_path(self.log)
        if log is not None:
            return log / ".spool"
        return self.cache / "spool" / hashlib.sha256(self.log.encode()).hexdigest()[:16]
