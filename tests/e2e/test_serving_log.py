"""The log of real servers: what was served and posted is in it, as it was, whatever happens to the process."""

from __future__ import annotations

import gzip
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest

from inference.log.impressions import impressions_table
from inference.log.reader import latest, read_impressions, read_interactions
from inference.scorers.local import LocalScorer
from tests.kit import served_log, servers, world
from tests.kit.bundle_factory import make_bundle
from tests.kit.ports import free_port

FLUSH_SECONDS = 1.0
TIME = datetime.fromtimestamp(world.NOW + 600.125, UTC)
AT = {"Kuberec-Time": TIME.isoformat()}
PROBLEM = "application/problem+json"
EVENTS = "/api/v1/events"


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """Servers that log; a test that ends the transformer starts it again."""
    directory = tmp_path_factory.mktemp("logging")
    settings = {
        "KUBEREC_LOG": str(directory / "log"),
        "KUBEREC_LOG_FLUSH_SECONDS": str(FLUSH_SECONDS),
        "KUBEREC_LOG_QUEUE": "500",
        "KUBEREC_CLOCK": "request",
    }
    with servers.ended(servers.make(directory, [make_bundle(directory / "one")], **settings)) as made:
        made.client.headers.update(AT)
        made.predictor.start()
        start(made)
        yield made


@pytest.fixture
def log(serving) -> Path:
    return Path(serving.transformer.environment["KUBEREC_LOG"])


def start(serving: servers.Serving) -> None:
    serving.transformer.start()
    servers.wait_ready(serving.predictor_url, serving.predictor)
    servers.wait_ready(serving.url, serving.transformer)
    servers.wait_for(lambda: serving.feed()["degraded"] == [], "the first feed stays degraded")


def value(serving: servers.Serving, sample: str) -> float:
    return next(float(line.rsplit(" ", 1)[1]) for line in serving.metrics().splitlines() if line.startswith(sample))


def event(name: str, **fields) -> dict:
    return {"event_id": name, "user_id": "u1", "item_id": "i0001", "event_type": "click", **fields}


def impressions(log: Path, requests: list[str]):
    table = read_impressions(str(log), 0, world.NOW * 2)
    return table.filter(np.isin(table["request_id"].to_numpy(zero_copy_only=False), requests))


def test_a_slate_of_head_is_not_logged(serving, log):
    for method in ("HEAD", "GET"):
        asked = {"x-request-id": f"asked-by-{method}"}
        answer = serving.client.request(method, "/api/v1/recommendations?user_id=u1&count=7", headers=asked)
        assert answer.status_code == 200
    logged = lambda: read_impressions(str(log), 0, world.NOW * 2)["request_id"].to_pylist()  # noqa: E731
    servers.wait_for(lambda: any(name.startswith("asked-by-GET") for name in logged()), "the slate is not in the log")
    assert not any(name.startswith("asked-by-HEAD") for name in logged())


def test_events_come_compressed_and_no_field_twice(serving, log):
    packed = gzip.compress(json.dumps(event("packed")).encode())
    answer = serving.client.post(EVENTS, content=packed, headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
    servers.wait_for(lambda: "packed" in read_interactions(str(log), 0, world.NOW * 2)["event_id"].to_pylist(), "lost")
    for content in (b'{"event_id": "e", "event_id": "e"}', b'[{"event_id": "e", "price": 1, "price": 2}]'):
        answer = serving.client.post(EVENTS, content=content)
        assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
        assert answer.json()["field"] in ("event_id", "price")


def test_slates_are_logged_as_they_were_ranked(serving, log):
    asked = [
        ("u1", {"surface": "home", "country": "DE", "device": "phone"}),
        ("u2", {"surface": "email"}),
        ("u3", {"surface": "similar", "item_id": world.item_id(8)}),
        ("a stranger", {"surface": "home"}),
    ]
    bodies = {}
    for user, fields in asked:
        answer = serving.client.get("/api/v1/recommendations", params={"user_id": user, "count": 7, **fields})
        bodies[answer.json()["request_id"]] = answer.json()
    batch = {"instances": [{"user_id": f"u{number}", "count": 3} for number in (11, 12)]}
    predictions = serving.client.post(
        "/v1/models/recommender:predict", json=batch, headers={"x-request-id": "batch"}
    ).json()["predictions"]
    bodies |= {body["request_id"]: body for body in predictions}
    ids = list(bodies)
    servers.wait_for(lambda: impressions(log, list(bodies)).num_rows == 4 * 7 + 2 * 3, "the slates are not in the log")

    found = impressions(log, list(bodies))
    rows = found.to_pylist()
    for request, body in bodies.items():
        mine = [row for row in rows if row["request_id"] == request]
        assert [row["item_id"] for row in mine] == [item["item_id"] for item in body["items"]]
        assert [row["position"] for row in mine] == list(range(len(mine)))
        assert [row["source"] for row in mine] == [item["source"] for item in body["items"]]
        assert [row["score"] for row in mine] == pytest.approx([item["score"] for item in body["items"]], abs=1e-5)
        assert {row["bundle_version"] for row in mine} == {body["bundle_version"]}
        assert {row["timestamp"] for row in mine} == {TIME}

    # The same recommender in this process, over the same store, with the bundle's ranker.
    bundle = serving.bundles[0]
    artifacts = bundle.artifacts()
    local = world.recommender(artifacts, LocalScorer(bundle.ranker()))
    queries = [
        world.query(user, time=TIME.timestamp(), request_id=request, count=7, **fields)
        for request, (user, fields) in zip(ids, asked, strict=False)
    ]
    queries += [
        world.query(f"u{number}", time=TIME.timestamp(), request_id=request, count=3)
        for request, number in zip(ids[4:], (11, 12), strict=True)
    ]
    expected = impressions_table(local.recommend(queries), artifacts)
    keys = [("request_id", "ascending"), ("position", "ascending")]
    expected, found = expected.sort_by(keys), found.sort_by(keys)
    assert expected.schema.names == found.schema.names
    for name in expected.column_names:
        assert found[name].is_null().equals(expected[name].is_null()), name
        # repr is exact, and NaN is NaN
        assert list(map(repr, found[name].to_pylist())) == list(map(repr, expected[name].to_pylist())), name
    ranked = found.filter(np.isin(found["request_id"].to_numpy(zero_copy_only=False), [ids[0], ids[1], ids[4]]))
    for name in artifacts.feature_set.ranker_features:
        assert ranked[f"feature_{name}"].null_count == 0
    assert latest(str(log)) == TIME.timestamp()


def test_an_event_is_part_of_the_next_request(serving):
    """A purchase is the user's own at once: its item is not recommended again, and it does not change other feeds."""
    feed = serving.feed("u7")
    bought, other = feed["items"][0]["item_id"], serving.feed("u8")
    posted = event("live-1", user_id="u7", item_id=bought, event_type="purchase")
    early = (TIME - timedelta(seconds=1)).isoformat()
    assert serving.client.post(EVENTS, json={**posted, "timestamp": early}).status_code == 202
    after = serving.feed("u7")
    assert after["degraded"] == []
    assert bought not in [item["item_id"] for item in after["items"]]
    assert [item["item_id"] for item in serving.feed("u8")["items"]] == [item["item_id"] for item in other["items"]]


def test_events_are_accepted_once(serving, log):
    before = value(serving, 'recs_events_total{outcome="accepted"}')
    fields = {
        "timestamp": "2023-11-14T22:30:00+01:00", "value": 1.5, "price": 2, "quantity": 3, "session_id": "s",
        "request_id": "r", "device": "phone", "country": "DE", "surface": "home",
    }  # fmt: skip
    for content, num in (
        (event("a1", **fields), 1),
        ([event("a2"), event("a3"), event("a3")], 3),
        ([event("a1"), event("a2")], 2),
    ):
        answer = serving.client.post(EVENTS, json=content)
        assert (answer.status_code, answer.json()) == (202, {"accepted": num})
    assert value(serving, 'recs_events_total{outcome="accepted"}') - before == 3

    def found() -> dict[str, dict]:
        rows = read_interactions(str(log), 0, world.NOW * 2).to_pylist()
        return {row["event_id"]: row for row in rows if row["event_id"].startswith("a")}

    servers.wait_for(lambda: len(found()) == 3, "the events are not in the log")
    first = found()["a1"]
    assert first == {**event("a1"), **fields, "timestamp": datetime(2023, 11, 14, 21, 30, tzinfo=UTC)}
    assert found()["a2"]["timestamp"] == TIME


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"7", 400, None),
        (b'"e"', 400, None),
        (b'{"event_id": NaN}', 400, None),
        (b"[]", 422, "body"),
        (json.dumps([event("x")] * 1001), 422, "body"),
        (json.dumps({**event("x"), "event_id": None}), 422, "event_id"),
        (json.dumps([event("x"), {**event("y"), "time": "now"}]), 422, "1.time"),
        (json.dumps(event("x", timestamp="yesterday")), 422, "timestamp"),
        (json.dumps(event("x", price=-1)), 422, "price"),
        (json.dumps([event("x", timestamp="2023-11-16T00:00:00Z")]), 422, "0.timestamp"),
        (b" " * (1 << 20) + b"{}", 413, None),
    ],
)
def test_bad_bodies_are_problems(serving, content, status, field):
    refused = 'recs_events_total{outcome="refused"}'
    before = value(serving, refused)
    for headers in ({"content-type": "application/json"}, {"content-type": "text/plain"}, {}):
        answer = serving.client.post(EVENTS, content=content, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == PROBLEM
        body = answer.json()
        assert body["status"] == status
        assert body.get("field") == field
        assert len(answer.content) < 10_000
    events = json.loads(content) if status == 422 else None
    assert value(serving, refused) - before == 3 * (len(events) if isinstance(events, list) else 1)
    if b"2023-11-16" in (content if isinstance(content, bytes) else content.encode()):
        assert "KUBEREC_CLOCK=request" in body["detail"]


def test_the_route_wants_a_time_and_a_post(serving):
    without = httpx.post(serving.url + EVENTS, json=event("t1"))
    assert (without.status_code, without.json()["field"]) == (422, "Kuberec-Time")
    wrong = serving.client.get(EVENTS)
    assert (wrong.status_code, wrong.headers["content-type"]) == (405, PROBLEM)


def test_a_batch_beyond_the_queue_is_served_and_counted(serving):
    lost = 'recs_log_lost_rows_total{reason="queue_full",table="impressions"}'
    before = value(serving, lost)
    batch = {"instances": [{"user_id": f"u{number % 80}", "count": 2} for number in range(800)]}
    answer = serving.client.post("/v1/models/recommender:predict", json=batch, timeout=60)
    assert all(len(body["items"]) == 2 for body in answer.json()["predictions"])
    assert 300 * 2 <= value(serving, lost) - before < 800 * 2  # others may have waited when it came


def test_kill_loses_no_event_and_at_most_a_flush_of_slates(serving, log):
    """Clients that never stop ask and post; the process is killed in the midst of it, and another one started."""
    served: dict[str, float] = {}
    acknowledged: set[str] = set()
    stop = threading.Event()
    margin = FLUSH_SECONDS + 2.0  # a flush itself takes a moment, on a machine shared with others a long one

    def client(number: int) -> None:
        with httpx.Client(base_url=serving.url, timeout=10, headers=AT) as http:
            place = 0
            while not stop.wait(0.02):
                place += 1
                name = f"k{number}-{place}"
                try:
                    params: dict[str, str | int] = {"user_id": f"u{number}", "count": 3}
                    answer = http.get("/api/v1/recommendations", params=params, headers={"x-request-id": name})
                    if answer.status_code == 200:
                        served[answer.json()["request_id"]] = time.monotonic()
                    rows = [event(f"{name}-{part}", request_id=name) for part in range(3)]
                    if http.post(EVENTS, json=rows).status_code == 202:
                        acknowledged.update(row["event_id"] for row in rows)
                except httpx.TransportError:
                    time.sleep(0.05)

    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(client, number) for number in range(3)]
        try:
            servers.wait_for(lambda: len(served) > 30, "nothing is served")
            time.sleep(margin)
            serving.transformer.end(signal.SIGKILL)
            killed, before = time.monotonic(), len(acknowledged)
            start(serving)
            servers.wait_for(lambda: len(acknowledged) > before + 30, "nothing is accepted after the kill")
        finally:
            stop.set()
        for one in clients:
            one.result()

    def missing() -> set[str]:
        events = read_interactions(str(log), 0, world.NOW * 2)["event_id"].to_pylist()
        shown = read_impressions(str(log), 0, world.NOW * 2, ["request_id"])["request_id"].to_pylist()
        return (acknowledged - set(events)) | (kept - set(shown))

    kept = {name for name, at in served.items() if not 0 <= killed - at <= margin}
    assert len([name for name in kept if served[name] < killed]) > 20
    servers.wait_for(lambda: not missing(), f"lost: {sorted(missing())[:9]}", 10)
    assert served_log.num_rows(log, "interactions") > 0  # every part can be read


def test_a_log_in_a_bucket_that_comes_late(serving, bucket, s3_server, tmp_path):
    """The servers answer while the bucket is not there; then everything arrives."""
    name = f"{bucket}-late"
    settings = {
        **serving.transformer.environment,
        **s3_server.environment,
        "KUBEREC_LOG": f"s3://{name}/log",
        "KUBEREC_CACHE": str(tmp_path / "cache"),
        "KUBEREC_LOG_FLUSH_SECONDS": "0.2",
        "KUBEREC_HTTP_PORT": str(free_port()),
    }
    process = servers.Process("transformer", settings, tmp_path / "transformer.log")
    url = f"http://127.0.0.1:{settings['KUBEREC_HTTP_PORT']}"
    client = httpx.Client(base_url=url, timeout=10, headers=AT)
    other = replace(serving, transformer=process, url=url, client=client)
    process.start()
    try:
        servers.wait_ready(url, process)
        assert len(other.feed("u5", count=4)["items"]) == 4
        assert client.post(EVENTS, json=event("late")).status_code == 202
        servers.wait_for(lambda: "tried again" in process.log.read_text(), "nobody says that the bucket is not there")
        assert value(other, "recs_log_waiting_rows") == 5
        assert other.feed("u5", count=4)["degraded"] == []
        s3_server.client().create_bucket(Bucket=name)
        servers.wait_for(lambda: value(other, "recs_log_waiting_rows") == 0, "the rows do not arrive")
        assert read_impressions(settings["KUBEREC_LOG"], 0, world.NOW * 2)["user_id"].to_pylist() == ["u5"] * 8
        assert read_interactions(settings["KUBEREC_LOG"], 0, world.NOW * 2)["event_id"].to_pylist() == ["late"]
        assert process.log.read_text().count("tried again") == 1
        assert "Traceback" not in process.log.read_text()
    finally:
        client.close()
        process.end()
