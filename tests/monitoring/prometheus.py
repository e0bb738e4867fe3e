"""A real Prometheus over a configuration of the test, and the node exporter's textfile collector."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from feature_repo.storage.files import write_text
from monitoring.rules import __main__ as rules
from pipelines.serve import TARGETS_FILE, write_targets
from tests.kit.checkout import ROOT
from tests.kit.servers import wait_for
from tests.monitoring.conftest import installed

SECONDS = 20.0  # until a process of the system answers


@dataclass(frozen=True)
class Prometheus:
    """One that runs.

    Attributes:
        client: Of its HTTP API.
    """

    client: httpx.Client

    def get(self, path: str, **parameters: str) -> dict:
        answer = self.client.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def values(self, expression: str) -> list[tuple[dict, float]]:
        """Labels and value of every series of an instant query."""
        found = self.get("query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]


@contextmanager
def prometheus(folder: Path, port: int, addresses: Mapping[str, str], drift: str) -> Iterator[Prometheus]:
    """Prometheus with the rules and the configuration of `monitoring/`, but looking every second.

    Args:
        folder: Gets what a checkout has there: `monitoring/prometheus.yml` and the files below `build/` it names.
        port: Prometheus listens there.
        addresses: `host:port` of the servers by name.
        drift: `host:port` of the exporter of the drift job's figures.
    """
    rules.main(["--out", str(folder / "build" / "monitoring")])
    write_targets(addresses, folder / "build" / "serve" / TARGETS_FILE)
    text = (ROOT / "monitoring" / "prometheus.yml").read_text().replace(" 15s", " 1s").replace("localhost:9100", drift)
    write_text(folder / "monitoring" / "prometheus.yml", text)
    command = [
        installed("prometheus"),
        f"--config.file={folder / 'monitoring' / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (
        _running(command, folder / "prometheus.log", lambda: _answers(f"http://127.0.0.1:{port}/-/ready")),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client,
    ):
        yield Prometheus(client)


@contextmanager
def textfile_exporter(folder: Path, port: int) -> Iterator[str]:
    """`host:port` of a node exporter that shows nothing but the *.prom files of a folder."""
    command = [
        installed("prometheus-node-exporter"),
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={folder}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with _running(command, folder / "exporter.log", lambda: _answers(f"http://127.0.0.1:{port}/metrics")):
        yield f"127.0.0.1:{port}"


@contextmanager
def _running(command: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(ready, f"{command[0]} does not answer:\n{log.read_text()}", SECONDS)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.TransportError:
        return False
