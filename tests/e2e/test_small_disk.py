"""Spool, copies of bundles and catalogue of running servers are on a disk that fills up, and gets room again."""

from __future__ import annotations

import httpx
import pytest

from inference.feature_store import StoreSettings
from inference.log.reader import read_impressions, read_interactions
from tests.kit import servers, world
from tests.kit.bundle_factory import make_bundle
from tests.kit.online_store import fill_store

pytestmark = pytest.mark.long

EVENTS = "/api/v1/events"
RETRY_SECONDS = 120.0  # a bundle that could not be fetched is tried again after a minute


def event(name: str) -> dict:
    return {"event_id": name, "user_id": "u1", "item_id": "i0001", "event_type": "click"}


def value(serving: servers.Serving, sample: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in serving.metrics().splitlines() if line.startswith(sample))


def test_a_full_disk_loses_nothing_acknowledged_and_every_part_goes_on_with_room(tmp_path, disk, bucket):
    bundles = [make_bundle(tmp_path / str(seed), seed=seed) for seed in range(2)]
    log = tmp_path / "log"
    settings = {
        "KUBEREC_CACHE": str(disk.path / "cache"),
        "KUBEREC_SPOOL": str(disk.path / "spool"),
        "TMPDIR": str(disk.path),  # of the catalogue
        "KUBEREC_LOG": str(log),
        "KUBEREC_LOG_FLUSH_SECONDS": "0.5",
        "KUBEREC_ITEMS_SECONDS": "0.5",
    }
    serving = servers.make(tmp_path, bundles, url=f"s3://{bucket}/stores/world", **settings)
    served: set[str] = set()
    acknowledged: set[str] = set()

    def ask(num: int) -> None:
        for number in range(num):
            served.add(serving.feed(f"u{number}", count=5)["request_id"])

    def post(name: str) -> httpx.Response:
        answer = serving.client.post(EVENTS, json=event(name))
        if answer.status_code == 202:
            acknowledged.add(name)
        return answer

    with servers.ended(serving):
        serving.predictor.start()
        serving.transformer.start()
        servers.wait_ready(serving.predictor_url, serving.predictor)
        servers.wait_ready(serving.url, serving.transformer)
        servers.wait_for(lambda: serving.feed()["degraded"] == [], "the first feed stays degraded")
        ask(10)
        assert post("before").status_code == 202

        disk.leave(0)
        fill_store(
            tmp_path / "again", StoreSettings(serving.store_dir / "online", "world", "final")
        )  # a refresh, whose catalogue does not fit
        serving.store.set_current(bundles[1].version)  # and a release
        servers.wait_for(lambda: post(f"full-{len(acknowledged)}").status_code != 202, "the disk takes every event")
        refused = post("refused")
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert "No space left on device; post the events again" in refused.json()["detail"]
        ask(20)
        assert serving.feed()["bundle_version"] == bundles[0].version
        assert serving.client.get("/v2/health/ready").status_code == 200
        text = serving.transformer.log
        for words in (
            "logging fails and is tried again",
            f"{bundles[1].version} cannot be fetched",
            "catalogue cannot",
        ):
            servers.wait_for(lambda: words in text.read_text(), f"no line says: {words}", 30)  # noqa: B023
        assert value(serving, 'recs_events_total{outcome="failed"}') > 0
        assert value(serving, 'recs_degraded_total{reason="items"}') > 0
        assert value(serving, "recs_log_waiting_rows") >= 20 * 5

        disk.make_room()
        assert post("refused").status_code == 202
        servers.wait_for(lambda: serving.feed()["bundle_version"] == bundles[1].version, "no release", RETRY_SECONDS)
        ask(10)
        servers.wait_for(lambda: value(serving, "recs_log_waiting_rows") == 0, "rows go on waiting", 30)
        assert value(serving, "recs_log_lost_rows_total") == 0
        assert serving.transformer.end() == 0
        assert serving.predictor.end() == 0
    events = read_interactions(str(log), 0, world.NOW * 2)["event_id"].to_pylist()
    assert acknowledged <= set(events)
    assert len(events) == len(set(events))
    assert served <= set(read_impressions(str(log), 0, world.NOW * 2, ["request_id"])["request_id"].to_pylist())
    for process in (serving.transformer, serving.predictor):
        assert "Traceback" not in process.log.read_text()
