"""Parts are ended while the servers run: every answer stays a 200 with a feed, and says what was missing."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time

import httpx
import pytest

from feature_repo.storage.files import write_json
from inference.bundles.manifest import Manifest
from tests.kit import servers, world
from tests.kit.bundle_factory import make_bundle
from tests.kit.ports import free_port


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bundles")
    return [make_bundle(directory / str(seed), seed=seed) for seed in range(3)]


@pytest.fixture
def serving(tmp_path, bundles):
    with servers.ended(servers.make(tmp_path, bundles[:2])) as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory, bundles):
    """One pair for tests that leave it as they found it."""
    with servers.ended(servers.make(tmp_path_factory.mktemp("running"), bundles[:2])) as made:
        start(made)
        yield made


def ids(body: dict) -> list[str]:
    return [item["item_id"] for item in body["items"]]


def start(serving: servers.Serving) -> None:
    serving.predictor.start()
    serving.transformer.start()
    servers.wait_ready(serving.predictor_url, serving.predictor)
    servers.wait_ready(serving.url, serving.transformer)
    servers.wait_for(lambda: serving.feed()["degraded"] == [], "the first feed stays degraded")


def retrieval_order(bundle, user: str) -> list[str]:
    artifacts = bundle.artifacts()
    slate = world.recommender(artifacts).recommend([world.query(user)])[0]
    return [world.item_id(row) for row in slate.rows]


def test_predictor_away_swap_and_return(running, bundles):
    ranked = running.feed("u1")
    plain = retrieval_order(bundles[0], "u1")
    assert ids(ranked) != plain

    # Killed: retrieval order, at once, and back when it is back.
    running.predictor.end(signal.SIGKILL)
    for _ in range(3):
        begun = time.monotonic()
        body = running.feed("u1")
        assert body["degraded"] == ["ranker"]
        assert ids(body) == plain
        assert time.monotonic() - begun < 2
    assert 'recs_degraded_total{reason="ranker"}' in running.metrics()
    running.predictor.start()
    servers.wait_for(lambda: running.feed("u1")["degraded"] == [], "the ranker does not come back")
    assert ids(running.feed("u1")) == ids(ranked)

    # Hung: the deadline cuts it short.
    assert running.predictor.process is not None
    running.predictor.process.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    body = running.feed("u1")
    assert body["degraded"] == ["ranker"]
    assert time.monotonic() - begun < 3

    # A new bundle becomes current while the predictor cannot take it: the old one goes on running.
    running.store.set_current(bundles[1].version)
    time.sleep(1.5)
    assert running.feed("u1")["bundle_version"] == bundles[0].version
    running.predictor.process.send_signal(signal.SIGCONT)
    servers.wait_for(lambda: running.feed()["bundle_version"] == bundles[1].version, "the swap does not come")
    servers.wait_for(lambda: running.feed()["degraded"] == [], "the ranker is not asked again")
    seen = [running.feed("u1") for _ in range(20)]
    assert {body["bundle_version"] for body in seen} == {bundles[1].version}
    assert all(body["degraded"] == [] for body in seen)

    # Rolled back in one call; the predictor still holds the earlier bundle.
    running.store.rollback()
    servers.wait_for(lambda: running.feed()["bundle_version"] == bundles[0].version, "the rollback does not come")
    assert running.feed("u1")["degraded"] == []
    assert ids(running.feed("u1")) == ids(ranked)


def test_swaps_under_load_fail_no_request(running, bundles):
    versions = set()
    for version in (bundles[1].version, bundles[0].version):
        running.store.set_current(version)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            body = running.feed("u1")
            assert body["degraded"] == []
            assert len(body["items"]) == 20
            versions.add(body["bundle_version"])
            if body["bundle_version"] == version:
                break
    assert versions == {bundles[0].version, bundles[1].version}


def test_a_damaged_bundle_is_refused_and_the_served_one_stays(running, bundles):
    running.store.publish(bundles[2])
    damaged = running.store_dir / "bundles" / bundles[2].version
    (damaged / "popularity.npz").write_bytes(b"not what it was")
    running.store.set_current(bundles[2].version)
    servers.wait_for(lambda: "recs_bundle_failures_total 1.0" in running.metrics(), "the damage is not noticed")
    body = running.feed("u1")
    assert body["bundle_version"] == bundles[0].version
    assert body["degraded"] == []
    assert "damaged" in running.transformer.log.read_text()
    manifest = Manifest.read(damaged).model_dump(mode="json")
    write_json(damaged / "manifest.json", {**manifest, "feature_set_hash": "0" * 16})
    assert running.feed("u1")["bundle_version"] == bundles[0].version
    running.store.set_current(bundles[1].version)
    servers.wait_for(lambda: running.feed()["bundle_version"] == bundles[1].version, "a good bundle is not taken")
    running.store.set_current(bundles[0].version)
    servers.wait_for(lambda: running.feed()["bundle_version"] == bundles[0].version, "the first is not taken again")


def test_redis_killed(tmp_path, bundles):
    executable = shutil.which("redis-server")
    if executable is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(tmp_path)]
    redis = subprocess.Popen([executable, *options], stdout=subprocess.DEVNULL)
    serving = None
    try:
        time.sleep(1)
        serving = servers.make(tmp_path, bundles[:1], redis=f"127.0.0.1:{port}")
        start(serving)
        personal = serving.feed("u1")
        assert {item["source"] for item in personal["items"]} != {"popular"}

        # Hung: soon nobody waits for it, the popular source goes on, and it is found again by itself.
        redis.send_signal(signal.SIGSTOP)
        hung = [serving.feed("u1", country="DE") for _ in range(8)]
        begun = time.monotonic()
        hung += [serving.feed("u1", country="DE") for _ in range(30)]
        assert time.monotonic() - begun < 15  # at most one in half a second waits its second
        assert {tuple(body["degraded"]) for body in hung} == {("features",)}
        assert {item["reason"] for body in hung for item in body["items"]} == {"Popular in DE"}
        redis.send_signal(signal.SIGCONT)
        servers.wait_for(lambda: serving.feed("u1")["degraded"] == [], "the features do not come back")
        assert ids(serving.feed("u1")) == ids(personal)

        redis.kill()
        redis.wait()
        body = serving.feed("u1")
        assert body["degraded"] == ["features"]
        assert {item["source"] for item in body["items"]} == {"popular"}
        assert len(body["items"]) == 20
        assert serving.get("u1", surface="similar", item_id=world.item_id(4)).status_code == 200
        # With the predictor gone as well there is still a feed.
        serving.predictor.end(signal.SIGKILL)
        assert len(serving.feed("u1")["items"]) == 20
    finally:
        redis.kill()
        if serving is not None:
            serving.end()


def test_start_without_anything_and_clean_end(serving):
    current, online, moved = serving.store_dir / "current", serving.store_dir / "online", serving.store_dir / "moved"
    text = current.read_text()
    current.unlink()
    shutil.move(online, moved)
    serving.transformer.start()
    servers.wait_for(lambda: _answers(serving), "the transformer does not listen")
    for path in ("/v2/health/ready", "/v1/models/recommender", "/api/v1/recommendations?user_id=u1"):
        answer = serving.client.get(path)
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
    assert serving.client.get("/v2/health/live").status_code == 200

    # A bundle, but neither features nor predictor: what is popular.
    current.write_text(text)
    servers.wait_ready(serving.url, serving.transformer)
    body = serving.feed("u1", country="DE")
    assert body["degraded"] == ["features"]
    assert {item["reason"] for item in body["items"]} == {"Popular in DE"}

    # Features, but no predictor.
    shutil.rmtree(online, ignore_errors=True)
    shutil.move(moved, online)
    servers.wait_for(lambda: serving.feed()["degraded"] == ["ranker"], "the features do not come back")
    serving.predictor.start()
    servers.wait_for(lambda: serving.feed()["degraded"] == [], "the ranker is not found")
    assert serving.transformer.end(signal.SIGTERM) == 0
    assert serving.predictor.end(signal.SIGTERM) == 0
    assert "Traceback" not in serving.transformer.log.read_text() + serving.predictor.log.read_text()


def test_wrong_settings_are_one_sentence(serving):
    process = serving.predictor
    process.environment = {**process.environment, "KUBEREC_CLOCK": "sundial"}
    process.start()
    assert process.process.wait(timeout=60) == 8
    lines = process.log.read_text().strip().splitlines()
    assert lines[-1].startswith("error: KUBEREC_CLOCK is ")
    assert "Traceback" not in process.log.read_text()


def _answers(serving: servers.Serving) -> bool:
    try:
        return serving.client.get("/v2/health/live").status_code == 200
    except httpx.TransportError:
        return False
