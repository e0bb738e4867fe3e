"""Requests, cursor, clock, problems: everything between a socket and the recommender, without one."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from feature_repo.errors import FeatureStoreError, RequestError, SettingsError
from inference.api import cursor, problems
from inference.api.clock import Clock
from inference.api.requests import Instances, RecommendationRequest, from_tensors
from inference.server.service import request_ids, sent_id
from inference.settings import ServingSettings

ids = st.lists(
    st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=30), max_size=60, unique=True
)


@given(ids.filter(len), st.text(max_size=20), st.sampled_from(["home", "email"]))
def test_cursor_comes_back(shown, user, surface):
    text = cursor.encode(shown, user, surface, None)
    assert text is not None
    assert cursor.decode(text, user, surface, None) == shown


def test_cursor_is_bound_bounded_and_checked():
    text = cursor.encode(["a", "b"], "u1", "home", None)
    assert text is not None
    for user, surface, item in (("u2", "home", None), ("u1", "email", None), ("u1", "home", "i1")):
        with pytest.raises(RequestError, match="another user"):
            cursor.decode(text, user, surface, item)
    for damaged in ("", "x", "!!!!", text[:-3], text + "AAAA", "é", text[:5] + "A" + text[6:]):
        with pytest.raises(RequestError):
            cursor.decode(damaged, "u1", "home", None)
    assert cursor.encode([str(n) for n in range(cursor.MAX_ITEMS)], "u1", "home", None) is None
    import base64
    import zlib

    bomb = b"1" + cursor._binding("u1", "home", None) + zlib.compress(b"\n" * 50_000_000)
    with pytest.raises(RequestError, match="damaged"):
        cursor.decode(base64.urlsafe_b64encode(bomb).rstrip(b"=").decode(), "u1", "home", None)


def test_clocks():
    assert Clock("log").now(1000.0) == pytest.approx(1000.0, abs=1)
    assert Clock("log", served_end=5000.0).now(1000.0) == pytest.approx(5000.0, abs=1)
    assert Clock("log", served_end=500.0).now(1000.0) == pytest.approx(1000.0, abs=1)
    assert Clock("wall").now(0.0) > 1_700_000_000
    asked = Clock("request")
    assert asked.now(0.0, "2024-05-01T00:00:00Z") == 1714521600.0
    assert asked.now(0.0, "2024-05-01T02:00:00+02:00") == 1714521600.0
    # Times that no calendar has in UTC, or would not have a day later, have no folder in a log.
    beyond = ("0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00")
    for bad in (None, "", "yesterday", "2024-05-01T00:00:00", "1714521600", *beyond):
        with pytest.raises(RequestError) as caught:
            asked.now(0.0, bad)
        assert caught.value.field == "Kuberec-Time"


def test_the_clock_of_a_log_never_turns_back_and_counts_time_once(monkeypatch):
    passed = iter([100.0, 3700.0, 3701.0, 3702.0])
    monkeypatch.setattr("inference.api.clock.time.monotonic", lambda: next(passed))
    clock = Clock("log")
    assert clock.now(1000.0) == 1000.0
    assert clock.now(4000.0) == 4600.0  # a bundle from a log that ends within the hour that passed
    assert clock.now(1000.0) == 4601.0  # a rollback
    assert clock.now(9000.0) == 9000.0  # a bundle from a log that was extended


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "x" * 257}, "user_id"),
        ({"user_id": "a\0b"}, "user_id"),
        ({"user_id": "u1", "count": 0}, "count"),
        ({"user_id": "u1", "count": 101}, "count"),
        ({"user_id": "u1", "count": "many"}, "count"),
        ({"user_id": "u1", "surface": "cellar"}, "surface"),
        ({"user_id": "u1", "surface": "similar"}, "item_id"),
        ({"user_id": "u1", "country": "x" * 65}, "country"),
        ({"user_id": "u1", "session_length": -1}, "session_length"),
        ({"user_id": "u1", "colour": "red"}, "colour"),
        ({"user_id": None}, "user_id"),
        ({"user_id": ["u1"]}, "user_id"),
    ],
)
def test_bad_fields_are_named(fields, field):
    with pytest.raises(ValidationError) as caught:
        RecommendationRequest.model_validate(fields)
    assert problems.InvalidFields(caught.value.errors()).field == field
    with pytest.raises(ValidationError) as caught:
        Instances.model_validate({"instances": [{"user_id": "fine"}, fields]})
    assert problems.InvalidFields(caught.value.errors()).field == f"instances.1.{field}"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"user_id": ""}, "user_id: String should have at least 1 character."),
        ({"user_id": "a\0b"}, "user_id: It contains a control character; remove it."),
        (
            {"user_id": "u1", "surface": "similar"},
            "item_id: The surface similar needs a seed item; send item_id.",
        ),
    ],
)
def test_bad_fields_are_explained_in_words(fields, words):
    with pytest.raises(ValidationError) as caught:
        RecommendationRequest.model_validate(fields)
    assert str(problems.InvalidFields(caught.value.errors())) == words


def test_integer_ids_are_text():
    assert RecommendationRequest.model_validate({"user_id": 5}).user_id == "5"


def test_tensors_become_requests():
    asked = from_tensors({"user_id": ["u1", "u2"], "count": [5], "surface": ["home", "similar"], "item_id": ["", "i1"]})
    assert [(one.user_id, one.count, one.surface, one.item_id) for one in asked] == [
        ("u1", 5, "home", None),
        ("u2", 5, "similar", "i1"),
    ]
    wrong: list[tuple[dict[str, list[Any]], str]] = [
        ({}, "user_id"),
        ({"user_id": ["u"] * 2000}, "user_id"),
        ({"user_id": ["u1", "u2"], "surface": ["home"] * 3}, "surface"),
        ({"user_id": ["u1", "u2"], "count": [1, 2]}, "count"),
        ({"user_id": ["u1"], "colour": ["red"]}, "colour"),
        ({"user_id": ["u1"], "count": [0]}, "count"),
        ({"user_id": ["u1", ""]}, "user_id"),
        ({"user_id": ["u1"], "surface": ["similar"]}, "item_id"),
    ]
    for tensors, field in wrong:
        with pytest.raises(RequestError) as caught:
            from_tensors(tensors)
        assert caught.value.field == field


def test_no_two_slates_share_a_request_id():
    (first,), (second,) = request_ids("abc", 1), request_ids("abc", 1)
    assert first != second
    assert all(made.startswith("abc-") for made in (first, second))
    several = request_ids("abc", 2)
    assert [made[-2:] for made in several] == ["-0", "-1"]
    assert len({made[:-2] for made in several}) == 1
    assert [len(made) for made in request_ids("", 1)] == [32]


def test_an_id_that_cannot_be_logged_is_not_taken():
    assert sent_id({"x-request-id": "page-7"}) == "page-7"
    assert sent_id({}) == ""
    for unusable in ("", "a\nb", "é", "x" * 200):
        assert sent_id({"x-request-id": unusable}) == ""


def test_settings_come_from_the_environment():
    settings = ServingSettings.from_environment({"KUBEREC_STORE": "/s", "KUBEREC_HTTP_PORT": "9", "OTHER": "x"})
    assert (settings.store, settings.http_port, settings.clock) == ("/s", 9, "wall")
    for environment, name in (
        ({}, "KUBEREC_STORE"),
        ({"KUBEREC_STORE": "/s", "KUBEREC_CLOCK": "sun"}, "KUBEREC_CLOCK"),
        ({"KUBEREC_STORE": "/s", "KUBEREC_PREDICTOR": "nowhere"}, "KUBEREC_PREDICTOR"),
        ({"KUBEREC_STORE": "/s", "KUBEREC_HTTP_PORT": "99999"}, "KUBEREC_HTTP_PORT"),
    ):
        with pytest.raises(SettingsError, match=name):
            ServingSettings.from_environment(environment)


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    seen = []
    problems.install(app, lambda scope, status: seen.append((scope["path"], status)))

    @app.get("/own")
    def own():
        raise RequestError("No.", field="x", status=404)

    @app.get("/dependency")
    def dependency():
        raise FeatureStoreError("The store is away.")

    @app.get("/bug")
    def bug():
        raise ZeroDivisionError("a secret")

    @app.get("/framework")
    def framework():
        raise HTTPException(409, "taken")

    @app.get("/typed")
    def typed(n: int):
        return n

    @app.get("/fine")
    def fine():
        return {"fine": True}

    @app.post("/echo")
    async def echo(body: dict):
        return body

    @app.post("/raw")
    async def raw(request: Request):
        return len(await request.body())

    # As KServe does: a handler of its own that answers {"error": ...}, installed last.
    async def theirs(_request, error):
        from starlette.responses import JSONResponse

        return JSONResponse({"error": str(error)}, status_code=400)

    app.add_exception_handler(KeyError, theirs)

    @app.get("/theirs")
    def raising():
        raise KeyError("their sentence")

    with TestClient(app, raise_server_exceptions=False) as made:
        made.seen = seen
        yield made


@pytest.mark.parametrize(
    ("path", "status", "field", "detail"),
    [
        ("/own", 404, "x", "No."),
        ("/dependency", 503, None, "The store is away."),
        ("/bug", 500, None, problems.INTERNAL_ERROR),
        ("/framework", 409, None, "taken"),
        ("/typed?n=x", 422, "n", None),
        ("/nowhere", 404, None, "Nothing is served under this path."),
        ("/theirs", 400, None, "'their sentence'"),
        ("/echo", 405, None, None),
    ],
)
def test_every_error_is_a_problem(client, path, status, field, detail):
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:kuberec:problem:")
    assert body["title"]
    assert body.get("field") == field
    assert detail is None or body["detail"] == detail
    assert client.seen[-1] == (path.partition("?")[0], status)
    assert status != 405 or answer.headers["allow"] == "POST"


def test_large_bodies_are_refused_however_they_come(client):
    big = b'{"a": "' + b"x" * problems.MAX_BODY + b'"}'
    assert client.post("/echo", content=big).status_code == 413
    answer = client.post("/echo", content=iter([big[: len(big) // 2], big[len(big) // 2 :]]))
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/fine").json() == {"fine": True}
    assert client.post("/echo", json={"a": 1}).json() == {"a": 1}


def test_a_client_that_leaves_while_it_sends_is_no_failure_of_the_server(client, caplog):
    received = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    scope = {"type": "http", "method": "POST", "path": "/raw", "query_string": b"", "headers": [], "app": client.app}
    sent = []

    async def receive():
        return next(received)

    async def send(message):
        sent.append(message)

    asyncio.run(client.app(scope, receive, send))
    assert sent == []
    assert client.seen[-1] == ("/raw", 499)
    assert caplog.text == ""


def test_json_of_problems_is_plain():
    content = bytes(problems.problem(422, "x", "f", [{"field": "f", "detail": "d"}]).body)
    assert json.loads(content)["errors"] == [{"field": "f", "detail": "d"}]
    assert not np.isnan(json.loads(content)["status"])
