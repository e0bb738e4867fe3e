"""Process settings of both servers."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import Field

from feature_repo.settings import EnvironmentSettings
from feature_repo.storage.folder import local_path


class ServingSettings(EnvironmentSettings):
    """Every setting is the environment variable `KUBEREC_<NAME>`.

    Attributes:
        store: Bundle store, a local directory or s3://.
        online: Directory of the online store's registry and SQLite files; by default `online` in a local store.
        cache: Where bundles of a remote store are copied to.
        host: Address the servers bind to.
        http_port, grpc_port: Their ports (the transformer has no gRPC).
        predictor: `host:port` of the predictor's gRPC.
        redis: `host:port` of a Redis online store, "" for SQLite beside the bundles.
        clock: wall, log or request, see `api/clock.py`.
        deadline_seconds: Time a request may take before stages are cut short.
        users_seconds, sources_seconds, ranker_seconds: Time of those stages within it.
        poll_seconds: How often `current` is looked at.
        items_seconds: How often is looked whether the online store was refreshed: a refresh is served within 60 s.
        ranker_threads: Threads of one ranking.
        request_threads: Requests worked on at a time, by either server.
        held_bundles: Bundles a predictor holds at rest; one that is in use is kept beyond it.
        grace_seconds: Time that requests have to end after SIGTERM.
        log: Where slates and events are logged, a local directory or s3://; "" logs nothing and takes no events.
        spool: Local directory of rows on their way to the log; by default in a local log, else below the cache.
        log_flush_seconds: How often rows become parts of the log: what a killed process may lose of its slates.
        log_queue: Slates that may wait for that; more are lost and counted.
    """

    store: str = Field(min_length=1)
    online: str = ""
    cache: Path = Path(tempfile.gettempdir()) / "kuberec-bundles"
    host: str = "0.0.0.0"
    http_port: int = Field(default=8080, ge=1, le=65535)
    grpc_port: int = Field(default=8081, ge=1, le=65535)
    predictor: str = Field(default="127.0.0.1:8081", pattern=r"^[^\s/]+:\d+$")
    redis: str = ""
    clock: Literal["wall", "log", "request"] = "wall"
    deadline_seconds: float = Field(default=0.15, gt=0)
    users_seconds: float = Field(default=0.05, gt=0)
    sources_seconds: float = Field(default=0.05, gt=0)
    ranker_seconds: float = Field(default=0.06, gt=0)
    poll_seconds: float = Field(default=1.0, gt=0)
    items_seconds: float = Field(default=15.0, gt=0)
    ranker_threads: int = Field(default=1, ge=1)
    request_threads: int = Field(default=4, ge=1)
    held_bundles: int = Field(default=2, ge=2)
    grace_seconds: int = Field(default=10, ge=0)
    log: str = ""
    spool: str = ""
    log_flush_seconds: float = Field(default=5.0, gt=0)
    log_queue: int = Field(default=10_000, ge=1)

    @property
    def online_dir(self) -> Path:
        """Where the online store's files are."""
        if self.online:
            return Path(self.online)
        store = local_path(self.store)
        return (self.cache if store is None else store) / "online"

    @property
    def spool_dir(self) -> Path:
        """Where rows on their way to the log are; logs have spools of their own."""
        if self.spool:
            return Path(self.spool)
        log = local_path(self.log)
        if log is not None:
            return log / ".spool"
        return self.cache / "spool" / hashlib.sha256(self.log.encode()).hexdigest()[:16]
