"""Both servers as processes: the routes of contract 3, and errors on every route."""

from __future__ import annotations

import json
import socket
import struct

import grpc
import httpx
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from tests.kit import servers, world
from tests.kit.bundle_factory import make_bundle

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    directory = tmp_path_factory.mktemp("serving")
    bundles = [make_bundle(directory / "one"), make_bundle(directory / "two", seed=1)]
    with servers.ended(servers.make(directory, bundles)) as made:
        made.predictor.start()
        made.transformer.start()
        servers.wait_ready(made.predictor_url, made.predictor)
        servers.wait_ready(made.url, made.transformer)
        servers.wait_for(lambda: made.feed()["degraded"] == [], "the first feed stays degraded")
        yield made


def test_a_feed(serving):
    answer = serving.get("u1", count=10)
    assert answer.status_code == 200
    body = answer.json()
    assert body["degraded"] == []
    assert body["bundle_version"] == serving.bundles[0].version
    assert [item["position"] for item in body["items"]] == list(range(10))
    assert len({item["item_id"] for item in body["items"]}) == 10
    assert all(item["title"] and item["reason"] and item["source"] for item in body["items"])
    scores = [item["score"] for item in body["items"]]
    assert scores == sorted(scores, reverse=True)
    assert body["request_id"] == answer.headers["x-request-id"]
    stages = {part.split(";")[0] for part in answer.headers["server-timing"].split(", ")}
    assert {"users", "covisitation", "popular", "merge", "filters", "features", "ranker", "select"} <= stages


def test_the_predictor_orders_the_feed(serving):
    """The same recommender in this process with the bundle's ranker gives the same feed."""
    from inference.scorers.local import LocalScorer

    bundle = serving.bundles[0]
    artifacts = bundle.artifacts()
    local = world.recommender(artifacts, LocalScorer(bundle.ranker()))
    for user in ("u1", "u2", "u17"):
        expected = local.recommend([world.query(user)])[0]
        shown = serving.feed(user)
        assert [item["item_id"] for item in shown["items"]] == [world.item_id(row) for row in expected.rows]
        assert [item["reason"] for item in shown["items"]] == list(expected.reasons)


def test_unknown_users_get_the_popular_feed(serving):
    body = serving.feed("a stranger", country="GB")
    assert {item["source"] for item in body["items"]} == {"popular"}
    assert {item["reason"] for item in body["items"]} == {"Popular in GB"}
    assert len(serving.feed("a stranger", count=100)["items"]) == 100


def test_similar_items(serving):
    body = serving.feed("u1", surface="similar", item_id=world.item_id(8))
    ids = [item["item_id"] for item in body["items"]]
    assert world.item_id(8) not in ids
    assert body["items"][0]["reason"] == "Others who chose Thing 8 chose this too"
    assert len(serving.feed("u1", surface="similar", item_id="no such item")["items"]) == 20


def test_pages_do_not_repeat(serving):
    seen, cursor = [], None
    for _ in range(10):
        body = serving.feed("u3", count=30, **({"cursor": cursor} if cursor else {}))
        seen += [item["item_id"] for item in body["items"]]
        cursor = body["cursor"]
        if cursor is None:
            break
    assert cursor is None
    assert len(seen) == len(set(seen)) > 240


def test_v1(serving):
    asked = {"instances": [{"user_id": "u1", "count": 5}, {"user_id": "u2"}, {"user_id": 7, "surface": "email"}]}
    body = serving.client.post("/v1/models/recommender:predict", json=asked).json()
    assert [len(one["items"]) for one in body["predictions"]] == [5, 20, 20]
    feed = serving.feed("u1", count=5)
    assert [item["item_id"] for item in body["predictions"][0]["items"]] == [item["item_id"] for item in feed["items"]]


def test_v2_json_and_binary(serving):
    inputs = [
        {"name": "user_id", "datatype": "BYTES", "shape": [2], "data": ["u1", "nobody"]},
        {"name": "count", "datatype": "INT32", "shape": [1], "data": [7]},
    ]
    answer = serving.client.post("/v2/models/recommender/infer", json={"id": "mine", "inputs": inputs})
    assert answer.status_code == 200, answer.text
    outputs = {one["name"]: one for one in answer.json()["outputs"]}
    assert outputs["item_id"]["shape"] == [2, 7]
    assert outputs["score"]["shape"] == [2, 7]
    assert len(set(outputs["request_id"]["data"])) == 2
    feed = [item["item_id"] for item in serving.feed("u1", count=7)["items"]]
    assert outputs["item_id"]["data"][:7] == feed
    raw = b"".join(struct.pack("<I", len(user)) + user for user in (b"u1", b"nobody"))
    head = {
        "inputs": [{"name": "user_id", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(raw)}}]
    }
    text = json.dumps({**head, "parameters": {"binary_data_output": True}}).encode()
    answer = serving.client.post(
        "/v2/models/recommender/infer", content=text + raw, headers={"inference-header-content-length": str(len(text))}
    )
    assert answer.status_code == 200, answer.text
    length = int(answer.headers["inference-header-content-length"])
    described = json.loads(answer.content[:length])
    sizes = [one["parameters"]["binary_data_size"] for one in described["outputs"]]
    scores = np.frombuffer(answer.content[length + sizes[0] :][: sizes[1]], dtype="<f4")
    assert scores.shape == (40,)


def test_short_feeds_are_padded(serving):
    cursor, last = None, None
    while True:
        body = serving.feed("u3", count=100, **({"cursor": cursor} if cursor else {}))
        cursor, last = body["cursor"], body
        if cursor is None:
            break
    assert len(last["items"]) < 100


def test_many_instances_in_one_call(serving):
    asked = {"instances": [{"user_id": f"u{n}", "count": 3} for n in range(200)]}
    body = serving.client.post("/v1/models/recommender:predict", json=asked).json()
    assert len(body["predictions"]) == 200
    assert all(len(one["items"]) == 3 and one["degraded"] == [] for one in body["predictions"])


def tensor(name: str, size: int, kind: str, data: str) -> bytes:
    return f'{{"inputs": [{{"name": "{name}", "shape": [{size}], "datatype": "{kind}", "data": [{data}]}}]}}'.encode()


V1, V2, API = "/v1/models/recommender:predict", "/v2/models/recommender/infer", "/api/v1/recommendations"


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "field"),
    [
        ("GET", API, None, 422, "user_id"),
        ("GET", f"{API}?user_id=", None, 422, "user_id"),
        ("GET", f"{API}?user_id=u1&count=0", None, 422, "count"),
        ("GET", f"{API}?user_id=u1&count=1e9", None, 422, "count"),
        ("GET", f"{API}?user_id=u1&surface=attic", None, 422, "surface"),
        ("GET", f"{API}?user_id=u1&surface=similar", None, 422, "item_id"),
        ("GET", f"{API}?user_id=u1&cursor=abc", None, 422, "cursor"),
        ("GET", f"{API}?user_id=u1&sort=price", None, 422, "sort"),
        ("GET", f"{API}?user_id=%00", None, 422, "user_id"),
        ("GET", f"{API}?user_id=u1&user_id=u2", None, 422, "user_id"),
        ("POST", API, b"{}", 405, None),
        ("POST", V1, b"", 400, None),
        ("POST", V1, b"{", 400, None),
        ("POST", V1, b"\xff\xfe", 400, None),
        ("POST", V1, b"[]", 400, None),
        ("POST", V1, b"null", 400, None),
        ("POST", V1, b"{}", 422, "instances"),
        ("POST", V1, b'{"instances": 5}', 422, "instances"),
        ("POST", V1, b'{"instances": []}', 422, "instances"),
        ("POST", V1, b'{"instances": [5]}', 422, "instances.0"),
        ("POST", V1, b'{"instances": [{"count": 5}]}', 422, "instances.0.user_id"),
        ("POST", V1, b'{"instances": [{"user_id": "u1", "cursor": "?"}]}', 422, "cursor"),
        ("POST", V1, b"[" * 100_000, 400, None),
        ("POST", V2, b"", 400, None),
        ("POST", V2, b"{}", 422, "inputs"),
        ("POST", V2, b'{"inputs": []}', 422, "user_id"),
        ("POST", V2, b'{"inputs": [{"name": "user_id"}]}', 422, "inputs.0.shape"),
        ("POST", V2, tensor("user_id", 3, "BYTES", '"a"'), 422, "user_id"),
        ("POST", V2, tensor("user_id", 1, "FP32", "1.5"), 422, "user_id"),
        ("POST", V2, tensor("x", 1, "BYTES", '"a"'), 422, "x"),
        ("POST", V2, tensor("user_id", 1, "BYTES", '{"a": 1}'), 422, None),
        ("POST", V2, tensor("user_id", 1, "BYTES", '""'), 422, "user_id"),
        ("POST", V2, tensor("user_id", 1, "BYTES", '"\\ud800"'), 400, None),
        ("POST", V2, b'{"id": "\\ud800", "inputs": []}', 400, None),
        ("POST", V2, tensor("user_id", 1, "BYTES", '"a"')[:-2] + b", " + tensor("user_id", 1, "BYTES", '"b"')[12:],
         422, "user_id"),
        ("POST", V1, b'{"instances": [{"user_id": "u1", "user_id": "u2"}]}', 422, "user_id"),
        ("POST", V2, b'{"inputs": [{"name": "user_id", "shape": [1], "shape": [1]}]}', 422, "shape"),
        ("GET", "/nowhere", None, 404, None),
        ("GET", "/v1/models/other", None, 404, None),
        ("POST", "/v1/models/other:predict", b"{}", 404, None),
        ("POST", "/v2/models/other/infer", b'{"inputs": []}', 404, None),
        ("GET", "/v2/models/other/ready", None, 404, None),
        ("GET", "/v2/models/recommender/versions/3", None, 501, None),
        ("POST", "/v1/models/recommender:explain", b"{}", 501, None),
        ("POST", "/v2/repository/models/recommender/unload", b"", 403, None),
        ("POST", "/v2/repository/models/recommender/load", b"", 403, None),
        ("DELETE", "/v2/models", None, 405, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["application/json", "text/plain", None])
def test_every_error_is_a_problem(serving, method, path, content, status, field, kind):
    headers = {} if kind is None or content is None else {"content-type": kind}
    answer = serving.client.request(method, path, content=content, headers=headers)
    if kind != "application/json" and path.startswith("/v2/models/other/infer"):
        status = answer.status_code
        assert status in (400, 404, 422)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:kuberec:problem:")
    assert body["detail"]
    assert field is None or body["field"] == field


@pytest.mark.parametrize("length", ["x", "-1", "99999999999999999999", "3"])
def test_bad_binary_headers(serving, length):
    headers = {"inference-header-content-length": length}
    answer = serving.client.post(V2, content=b'{"inputs": []}xx', headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == PROBLEM


def test_kserve_routes_work(serving):
    for path in ("/", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/recommender",
                 "/v2/models/recommender/ready", "/v1/models", "/v1/models/recommender", "/openapi.json"):  # fmt: skip
        answer = serving.client.get(path)
        assert answer.status_code == 200, (path, answer.text)


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/metrics", f"{API}?user_id=u1"])
def test_head_has_the_headers_of_get(serving, path):
    asked = {"x-request-id": "head"}
    head, get = (serving.client.request(method, path, headers=asked) for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
    assert [*head.headers] == [*get.headers]
    assert path == "/metrics" or head.headers["content-length"] == get.headers["content-length"]
    wrong = serving.client.delete(path)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")


def test_what_is_no_request_is_counted_and_not_logged(serving):
    host, _, port = serving.url.removeprefix("http://").partition(":")
    for url in (serving.url, serving.predictor_url):
        port = url.rpartition(":")[2]
        with socket.create_connection((host, int(port)), timeout=5) as client:
            client.sendall(f"GET {API}?user_id=zoë HTTP/1.1\r\n\r\n".encode())
            answer = client.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert f"content-type: {PROBLEM}".encode() in answer
    assert 'recs_requests_total{code="400",surface=""}' in serving.metrics()
    for process in (serving.transformer, serving.predictor):
        assert "Invalid HTTP request" not in process.log.read_text()


def test_metrics(serving):
    serving.feed("u1")
    serving.get("u1", count=0)
    text = serving.metrics()
    for line in ('recs_requests_total{code="200",surface="home"}', 'recs_requests_total{code="422",surface=""}',
                 'recs_stage_seconds_count{stage="ranker"}', "recs_index_age_seconds",
                 'recs_feature_age_seconds{view="item_stats"}',
                 'recs_filtered_total{reason="repeats"}', "recs_request_seconds_bucket"):  # fmt: skip
        assert line in text, line


def test_request_ids_are_echoed_and_every_slate_has_its_own(serving):
    answers = [serving.client.get(API, params={"user_id": "u1"}, headers={"x-request-id": "page-1"}) for _ in range(2)]
    assert [answer.headers["x-request-id"] for answer in answers] == ["page-1", "page-1"]
    first, second = (answer.json()["request_id"] for answer in answers)
    assert first != second
    assert first.startswith("page-1-")


def test_predictor_refuses_what_it_cannot_do(serving):
    with grpc.insecure_channel(serving.grpc_address) as channel:
        stub = GRPCInferenceServiceStub(channel)
        ready = lambda version: stub.ModelReady(pb.ModelReadyRequest(name="ranker", version=version)).ready  # noqa: E731
        assert ready("")
        assert ready(serving.bundles[0].version)
        assert not ready("20200101T000000-00000000")
        assert not stub.ModelReady(pb.ModelReadyRequest(name="other")).ready
        assert stub.ServerReady(pb.ServerReadyRequest()).ready

        def asked(version="", features=None, shape=None, datatype="FP32", deadline=""):
            rows = np.zeros((3, 4), np.float32) if features is None else features
            texts = {"bundle_version": version, "deadline_ms": deadline}
            return pb.ModelInferRequest(
                model_name="ranker",
                parameters={name: pb.InferParameter(string_param=text) for name, text in texts.items() if text},
                inputs=[{"name": "features", "datatype": datatype, "shape": shape or list(rows.shape)}],
                raw_input_contents=[rows.tobytes()],
            )

        held = serving.bundles[0].version
        width = serving.bundles[0].ranker().num_features
        for request, code, words in (
            (asked(), grpc.StatusCode.INVALID_ARGUMENT, "bundle_version"),
            (asked("elsewhere"), grpc.StatusCode.NOT_FOUND, "elsewhere"),
            (asked(held), grpc.StatusCode.INVALID_ARGUMENT, f"{width} features"),
            (asked(held, deadline="soon"), grpc.StatusCode.INVALID_ARGUMENT, "deadline_ms"),
            (asked(held, deadline="-5"), grpc.StatusCode.INVALID_ARGUMENT, "deadline_ms"),
            (asked(held, shape=[5, 5]), grpc.StatusCode.INVALID_ARGUMENT, "features"),
            (asked(held, datatype="INT32"), grpc.StatusCode.INVALID_ARGUMENT, "features"),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                stub.ModelInfer(request)
            assert caught.value.code() == code
            assert words in caught.value.details()
        rows = np.random.default_rng(0).normal(size=(9, width)).astype(np.float32)
        answer = stub.ModelInfer(asked(held, rows))
        assert answer.parameters["bundle_version"].string_param == held
        assert [one.name for one in answer.outputs] == ["score", "p_click", "p_convert"]
        score = np.frombuffer(answer.raw_output_contents[0], dtype="<f4")
        assert np.allclose(score, serving.bundles[0].ranker().score(rows)[0])
        with pytest.raises(grpc.RpcError) as caught:
            stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="ranker"))
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_predictor_http_errors_are_problems(serving):
    rows = tensor("features", 1, "FP32", "1.0").replace(b'"shape": [1]', b'"shape": [1, 1]')
    ask = lambda version: b'{"parameters": {"bundle_version": "' + version.encode() + b'"}, ' + rows[1:]  # noqa: E731
    for method, path, content in (
        ("GET", "/nowhere", None),
        ("POST", "/v2/models/ranker/infer", ask("elsewhere")),
        ("POST", "/v2/models/ranker/infer", ask(serving.bundles[0].version)),
        ("POST", "/v1/models/ranker:predict", b"{}"),
        ("POST", "/v2/models/ranker/infer", b'{"inputs": []}'),
        ("POST", "/v2/repository/models/ranker/unload", b""),
    ):
        answer = httpx.request(
            method, serving.predictor_url + path, content=content, headers={"content-type": "application/json"}
        )
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.headers["content-type"] == PROBLEM


def test_logs_stay_quiet(serving):
    for process in (serving.transformer, serving.predictor):
        lines = process.log.read_text().splitlines()
        assert not [line for line in lines if "Traceback" in line], "\n".join(lines[-40:])
        assert len(lines) < 60, "\n".join(lines[:80])
