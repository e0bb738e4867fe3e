"""The two KServe servers as processes on this machine: started on free ports, and stopped with the run."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from feature_repo.errors import ServerFailed, StorageError

START_SECONDS = 120.0
NAMES = ("predictor", "transformer")


@dataclass(frozen=True, slots=True)
class Servers:
    """Two running servers.

    Attributes:
        addresses: `host:port` of the HTTP port of each server, by name.
        processes: Process of each server, by name.
        log_dir: Folder of transformer.log and predictor.log.
    """

    addresses: Mapping[str, str]
    processes: Mapping[str, subprocess.Popen[bytes]]
    log_dir: Path

    @property
    def url(self) -> str:
        """Base URL of the transformer."""
        return f"http://{self.addresses['transformer']}"

    def check(self) -> None:
        """Checks that both servers run.

        Raises:
            ServerFailed: A server exited; the message has its last output line.
            StorageError: A server exited because it cannot write files.
        """
        for name, process in self.processes.items():
            if process.poll() is not None:
                kind = StorageError if process.returncode == StorageError.exit_code else ServerFailed
                raise kind(f"The {name} exited: {_last_line(self.log_dir / f'{name}.log')}.")


def free_port() -> int:
    """A TCP port of the loopback interface that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _usable(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else "ports are 1 to 65535"
            raise ServerFailed(
                f"The port {port} cannot be listened on ({why}): stop the process that uses it, or choose another "
                "port, as in `make serve PORT=8081`."
            ) from error
    return port


@contextlib.contextmanager
def serve(
    store: str, log_dir: Path, *, port: int | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Servers]:
    """Starts both servers with the store's current bundle, waits until they are ready, and stops them after the block.

    Args:
        store: The dataset's serving store, a directory or URL.
        log_dir: Folder that receives the servers' logs; it must exist.
        port: HTTP port of the transformer; None for a free port.
        settings: Further `KUBEREC_*` variables of both servers.

    Raises:
        ServerFailed: The port cannot be used, or a server exited or was not ready in time.
    """
    ports = {"transformer": _usable(port) if port else free_port(), "predictor": free_port()}
    grpc = free_port()
    shared = {
        **os.environ,
        "KUBEREC_STORE": store,
        "KUBEREC_HOST": "127.0.0.1",
        "KUBEREC_GRPC_PORT": str(grpc),
        "KUBEREC_PREDICTOR": f"127.0.0.1:{grpc}",
        **(settings or {}),
    }
    with contextlib.ExitStack() as stack:
        processes = {
            name: stack.enter_context(_process(name, {**shared, "KUBEREC_HTTP_PORT": str(ports[name])}, log_dir))
            for name in NAMES
        }
        servers = Servers({name: f"127.0.0.1:{ports[name]}" for name in NAMES}, processes, log_dir)
        _await_ready(servers)
        yield servers


@contextlib.contextmanager
def _process(name: str, environment: Mapping[str, str], log_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (log_dir / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"inference.{name}"], env=dict(environment), stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _await_ready(servers: Servers) -> None:
    """Waits for both servers: a feed that is asked before the predictor holds the bundle would be unranked."""
    deadline = time.monotonic() + START_SECONDS
    left = list(servers.addresses.values())
    while time.monotonic() < deadline:
        servers.check()
        left = [address for address in left if not _is_ready(address)]
        if not left:
            return
        time.sleep(0.1)
    raise ServerFailed(f"The servers were not ready within {START_SECONDS:.0f} s; their logs are in {servers.log_dir}.")


def _is_ready(address: str) -> bool:
    with (
        contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
        urllib.request.urlopen(f"http://{address}/v2/health/ready", timeout=2) as answer,
    ):
        return bool(answer.status == 200)
    return False


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ").removesuffix(".") if lines else f"it printed no line to {path}"
