"""Parts that many tests share: a real Redis, free ports, an empty store. Everything started here is ended here."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import prometheus_client  # noqa: F401 - before Feast, whose import makes counters of all registries share one file
import pytest

from tests.kit import object_store
from tests.kit.checkout import ROOT
from tests.kit.ports import free_port
from tests.kit.small_disk import SmallDisk, small_disk

REDIS_START_SECONDS = 10.0


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An empty directory for a store of its own."""
    path = tmp_path / "store"
    path.mkdir()
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk that the test fills."""
    with small_disk(tmp_path / "disk") as made:
        yield made


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis without persistence on a free port of the loopback, as `host:port`; the session's tests share it.

    Keys carry project, stage and feature hash, so tests with stores of their own do not meet; one that needs an empty
    server calls FLUSHALL.
    """
    if shutil.which("redis-server") is None:
        subprocess.run([ROOT / ".ci" / "install-servers"], check=True, timeout=300)
    executable = shutil.which("redis-server")
    if executable is None:
        pytest.skip("redis-server is not installed, and this user cannot install it through apt")
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([executable, *options], stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(port, process, folder / "log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object_store.ObjectStore]:
    """An S3 server on a free port of the loopback; the session's tests share it, each with buckets of its own."""
    with object_store.started(tmp_path_factory.mktemp("s3") / "log") as made:
        yield made


@pytest.fixture
def bucket(s3_server: object_store.ObjectStore, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket of that server, which the environment of this process and of those it starts points at."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server.make_bucket()


@pytest.fixture(scope="session")
def serving_python() -> Path:
    """Interpreter of an environment that has the `serving` extra and no more: no torch, no kfp, no lightgbm."""
    subprocess.run([ROOT / ".ci" / "setup", "serving"], check=True, timeout=600)
    return ROOT / ".venv-serving" / "bin" / "python"


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + REDIS_START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as client:
            client.settimeout(1.0)
            if client.connect_ex(("127.0.0.1", port)) == 0:
                client.sendall(b"PING\r\n")
                if client.recv(16).startswith(b"+PONG"):
                    return
        time.sleep(0.02)
    pytest.fail(f"redis-server did not answer on port {port}:\n{log.read_text()}")
