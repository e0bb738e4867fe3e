"""Clients that stop half way, and a Redis that restarts again and again under requests: no 500, no traceback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field

import httpx
import pytest

from inference.feature_store import StoreSettings, materialize
from tests.kit import servers, world
from tests.kit.bundle_factory import make_bundle
from tests.kit.crowd import Crowd
from tests.kit.ports import free_port

pytestmark = pytest.mark.long

HEAD = b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
PATHS = (b"api/v1/events", b"v1/models/recommender:predict", b"v2/models/recommender/infer")


@dataclass
class Askers(Crowd):
    """Clients that keep the marks of their answers."""

    marks: list[tuple[str, ...]] = field(default_factory=list)

    def ask(self, number: int, client: httpx.Client) -> None:
        """Asks for a feed."""
        answer = client.get("/api/v1/recommendations", params={"user_id": f"u{number}"})
        if answer.status_code != 200 or not answer.json()["items"]:
            self.failures.append(answer.text)
            return
        self.marks.append(tuple(answer.json()["degraded"]))
        time.sleep(0.02)


def started(executable: str, port: int, directory: str) -> subprocess.Popen[bytes]:
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory]
    process = subprocess.Popen([executable, *options], stdout=subprocess.DEVNULL)
    servers.wait_for(lambda: _listens(port), "Redis does not start", 20)
    return process


def test_slow_clients_and_a_restarting_redis(tmp_path):
    executable = shutil.which("redis-server")
    if executable is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    redis = started(executable, port, str(tmp_path))
    place = StoreSettings(tmp_path / "store" / "online", "world", "final", f"127.0.0.1:{port}")
    limits = {"KUBEREC_USERS_SECONDS": "0.5", "KUBEREC_ITEMS_SECONDS": "0.5", "KUBEREC_LOG": str(tmp_path / "log")}
    limits["KUBEREC_GRACE_SECONDS"] = "2"
    serving = servers.make(tmp_path, [make_bundle(tmp_path / "one")], redis=place.redis, **limits)
    halves: list[socket.socket] = []
    try:
        with servers.ended(serving):
            serving.predictor.start()
            serving.transformer.start()
            servers.wait_ready(serving.predictor_url, serving.predictor)
            servers.wait_ready(serving.url, serving.transformer)
            servers.wait_for(lambda: serving.feed()["degraded"] == [], "the first feed stays degraded")
            address = ("127.0.0.1", int(serving.url.rsplit(":", 1)[1]))
            for number in range(150):  # more than the server has threads
                halves.append(socket.create_connection(address, timeout=5))
                halves[-1].sendall(HEAD % PATHS[number % 3])
            with Askers([serving.url] * 4) as clients:
                for _ in range(3):
                    seen = len(clients.marks)
                    servers.wait_for(lambda: len(clients.marks) > seen + 20, "no answers", 30)  # noqa: B023
                    redis.kill()
                    redis.wait()
                    servers.wait_for(lambda: "features" in clients.marks[-1], "no mark", 30)
                    redis = started(executable, port, str(tmp_path))
                    servers.wait_for(lambda: "store" in clients.marks[-1], "no mark of the empty store", 30)
                    materialize(tmp_path / "features", world.feature_set(), place, world.NOW)
                    servers.wait_for(lambda: clients.marks[-1] == (), "the marks do not end", 30)
                for half in halves[::2]:  # clients that give up
                    half.close()
            assert clients.failures == []
            assert serving.transformer.end() == 0  # the other ones are still connected
            for half in halves[1::2]:
                assert half.recv(1 << 16).startswith(b"HTTP/1.1 503 ")
            assert serving.predictor.end() == 0
    finally:
        redis.kill()
        redis.wait()
        for half in halves:
            half.close()
    for process in (serving.transformer, serving.predictor):
        assert "Traceback" not in process.log.read_text()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
