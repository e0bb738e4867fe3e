"""Every error of the application is answered with a problem document."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient

from feature_repo.errors import FeatureStoreError, RequestError
from inference.api import payload, problems


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
    big = b'{"a": "' + b"x" * payload.MAX_BODY + b'"}'
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
