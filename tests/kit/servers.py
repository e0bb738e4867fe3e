"""The two servers as processes of a test, on free ports, over a store that the test fills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from inference.bundles.bundle import Bundle
from inference.bundles.store import BundleStore
from inference.feature_store import StoreSettings
from tests.kit.checkout import ROOT
from tests.kit.online_store import fill_store
from tests.kit.ports import free_port

START_SECONDS = 120.0


@dataclass
class Process:
    """One server."""

    name: str
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"inference.{self.name}"],
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


@dataclass
class Serving:
    """A store, both servers, and a client of the transformer."""

    store_dir: Path
    transformer: Process
    predictor: Process
    url: str
    predictor_url: str
    grpc_address: str
    client: httpx.Client
    bundles: list[Bundle] = field(default_factory=list)

    @property
    def store(self) -> BundleStore:
        return BundleStore(self.transformer.environment["KUBEREC_STORE"])

    def get(self, user: str = "u1", **parameters: str | int) -> httpx.Response:
        return self.client.get("/api/v1/recommendations", params={"user_id": user, **parameters})

    def feed(self, user: str = "u1", **parameters: str | int) -> dict:
        answer = self.get(user, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def end(self) -> None:
        self.client.close()
        self.transformer.end()
        self.predictor.end()

    def metrics(self) -> str:
        return self.client.get("/metrics").text


def make(directory: Path, bundles: list[Bundle], *, redis: str = "", url: str = "", **settings: str) -> Serving:
    """Servers over a store with the bundles published, the first of them current, and its features online.

    The store is at `url`, or a directory; its features are in a directory or in Redis.
    """
    store_dir = directory / "store"
    store = BundleStore(url or str(store_dir))
    for bundle in bundles:
        store.publish(bundle)
    store.set_current(bundles[0].version)
    fill_store(directory / "features", StoreSettings(store_dir / "online", "world", "final", redis))
    http, grpc, predictor_http = free_port(), free_port(), free_port()
    shared = {
        "KUBEREC_STORE": store.url,
        **({"KUBEREC_ONLINE": str(store_dir / "online"), "KUBEREC_CACHE": str(directory / "cache")} if url else {}),
        "KUBEREC_HOST": "127.0.0.1",
        "KUBEREC_PREDICTOR": f"127.0.0.1:{grpc}",
        "KUBEREC_GRPC_PORT": str(grpc),
        "KUBEREC_CLOCK": "log",
        "KUBEREC_REDIS": redis,
        "KUBEREC_POLL_SECONDS": "0.2",
        # Tests share their two cores with others: what is late here is late by seconds, not by scheduling.
        "KUBEREC_DEADLINE_SECONDS": "3",
        "KUBEREC_USERS_SECONDS": "1",
        "KUBEREC_SOURCES_SECONDS": "1",
        "KUBEREC_RANKER_SECONDS": "1",
        **settings,
    }
    url, predictor_url = f"http://127.0.0.1:{http}", f"http://127.0.0.1:{predictor_http}"
    return Serving(
        store_dir,
        Process("transformer", {**shared, "KUBEREC_HTTP_PORT": str(http)}, directory / "transformer.log"),
        Process("predictor", {**shared, "KUBEREC_HTTP_PORT": str(predictor_http)}, directory / "predictor.log"),
        url,
        predictor_url,
        f"127.0.0.1:{grpc}",
        httpx.Client(base_url=url, timeout=10),
        bundles,
    )


@contextmanager
def ended(serving: Serving) -> Iterator[Serving]:
    """Ends both servers with the block."""
    try:
        yield serving
    finally:
        serving.end()


def wait_ready(url: str, process: Process) -> None:
    wait_for(lambda: _ready(url, process), f"{process.name} is not ready:\n{process.log.read_text()}")


def wait_for(condition, message: str, seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(message)
        time.sleep(0.05)


def _ready(url: str, process: Process) -> bool:
    assert process.process is not None
    assert process.process.poll() is None, f"{process.name} ended:\n{process.log.read_text()}"
    try:
        return httpx.get(f"{url}/v2/health/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
