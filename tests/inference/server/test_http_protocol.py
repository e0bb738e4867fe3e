"""Bytes that are not a request, sent through sockets to a real server: a problem, a closed connection, no log line."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import socket
import threading
import time
import zlib
from dataclasses import dataclass

import pytest
import uvicorn
from fastapi import FastAPI, Request

from inference.api import payload, problems
from inference.server import http_protocol
from tests.kit.ports import free_port

GET = b"GET /fine HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"


@dataclass(frozen=True)
class Started:
    """The port of the server, and the statuses of its answers to what is no request."""

    port: int
    refused: list[int]


@pytest.fixture(scope="module")
def server():
    app = FastAPI()
    refused: list[int] = []
    problems.install(app)

    @app.get("/fine")
    async def fine(request: Request):
        return {"q": dict(request.query_params), "head": problems.is_head(request)}

    @app.post("/echo")
    async def echo(request: Request):
        return payload.parsed_json(await request.body())

    @app.post("/length")
    async def length(request: Request):
        return len(await request.body())

    config = uvicorn.Config(app, host="127.0.0.1", port=free_port(), log_config=None, lifespan="off")
    http_protocol.configure(config, refused.append)
    made = uvicorn.Server(config)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not made.started:
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.01)
    yield Started(config.port, refused)
    made.should_exit = True
    thread.join(timeout=10)


def sent(server, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
    """Sends the parts one after the other, and returns status, headers and body of the first answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        with contextlib.suppress(ConnectionError):  # the server may close before it has read everything
            for part in parts:
                client.sendall(part)
        answer = client.makefile("rb")
        status = int(answer.readline().split()[1])
        headers = {}
        while (line := answer.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        length = 0 if parts[0].startswith(b"HEAD") else int(headers["content-length"])
        return status, headers, answer.read(length)


@pytest.mark.parametrize(
    "parts",
    [
        ["GET /fine?user_id=zoë HTTP/1.1\r\n\r\n".encode()],
        ["GET /finë HTTP/1.1\r\n\r\n".encode()],
        [b"GET /fi\xffne HTTP/1.1\r\n\r\n"],
        [b"GET /fine\x00 HTTP/1.1\r\n\r\n"],
        [b"GET /fine?a=b c HTTP/1.1\r\n\r\n"],
        [b"hello\r\n\r\n"],
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],  # the first bytes of TLS
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
        [b"CONNECT a:1 HTTP/1.1\r\n\r\n"],
        [GET + b"no colon\r\n\r\n"],
        [GET + b"a: b\x00c\r\n\r\n"],
        [POST + b"Content-Length: x\r\n\r\n{}"],
        [POST + b"Content-Length: -1\r\n\r\n{}"],
        [POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"],
        [POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}"],
        [POST + b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n{}\r\n0\r\n\r\n"],
    ],
)
def test_what_is_no_request_is_a_problem_without_a_log_line(server, parts, caplog):
    caplog.set_level(logging.WARNING)
    num = len(server.refused)
    status, headers, content = sent(server, *parts)
    assert status == json.loads(content)["status"] == 400
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert server.refused[num:] == [400]
    assert caplog.text == ""


@pytest.mark.parametrize(
    "parts",
    [
        [GET + b"a: " + b"x" * http_protocol.MAX_HEAD + b"\r\n\r\n"],
        [GET + b"a: b\r\n" * (http_protocol.MAX_HEAD // 2) + b"\r\n"],
        [b"GET /" + b"x" * http_protocol.MAX_HEAD + b" HTTP/1.1\r\n\r\n"],
        [GET + b"a: ", *[b"x" * 1000] * 500],  # a head without an end
    ],
)
def test_a_large_head_is_refused(server, parts):
    num = len(server.refused)
    status, headers, content = sent(server, *parts)
    assert status == json.loads(content)["status"] == 431
    assert headers["content-type"] == "application/problem+json"
    assert server.refused[num:] == [431]


def test_trailers_count_as_head(server):
    trailers = b"a: b\r\n" * http_protocol.MAX_HEAD
    assert sent(server, POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + trailers + b"\r\n")[0] == 431


@pytest.mark.parametrize("offer", [b"Upgrade: h2c", b"Upgrade: websocket\r\nSec-WebSocket-Key: x", b"Upgrade: other"])
def test_an_offer_to_upgrade_is_ignored(server, offer, caplog):
    caplog.set_level(logging.WARNING)
    status, headers, content = sent(server, GET + b"Connection: Upgrade\r\n" + offer + b"\r\n\r\n")
    assert (status, headers.get("connection")) == (200, None)
    assert json.loads(content)["q"] == {}
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" + offer + b"\r\nContent-Length: 7\r\n\r\n"
    status, headers, content = sent(server, head, b'{"a":1}')
    assert (status, headers.get("connection"), content) == (200, None, b'{"a":1}')
    assert caplog.text == ""


OFFERED = b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
SIZED, BODY, CHUNKED = b"Content-Length: 7\r\n\r\n", b'{"a":1}', b"Transfer-Encoding: chunked\r\n\r\n"
FINE = b'{"q":{},"head":false}'


def answers(server, *parts: bytes) -> list[bytes]:
    """Sends the parts in separate packets and a request that ends the connection; returns the body of each answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in (*parts, GET + b"Connection: close\r\n\r\n"):
            client.sendall(part)
            time.sleep(0.02)
        first, *received = client.makefile("rb").read().split(b"HTTP/1.1 ")
    assert (first, {answer[:3] for answer in received}) == (b"", {b"200"})
    return [answer.split(b"\r\n\r\n", 1)[1] for answer in received]


@pytest.mark.parametrize(
    ("parts", "bodies"),
    [
        ([GET + b"Connection: Upgrade\r\nUpgr", b"ade: h2c\r\n\r\n"], [FINE]),
        ([OFFERED[:-9], OFFERED[-9:] + SIZED + BODY], [BODY]),
        ([OFFERED + SIZED[:-1], SIZED[-1:], BODY[:3], BODY[3:]], [BODY]),
        ([OFFERED + SIZED + BODY + GET + b"\r\n"], [BODY, FINE]),
        ([OFFERED + SIZED + BODY + OFFERED + SIZED + BODY], [BODY, BODY]),
        ([OFFERED + SIZED + BODY[:1], BODY[1:] + OFFERED, SIZED + BODY], [BODY, BODY]),
        ([OFFERED + CHUNKED + b"3\r\n" + BODY[:2], BODY[2:3] + b"\r\n4\r\n" + BODY[3:] + b"\r\n0\r\n\r\n"], [BODY]),
        ([OFFERED + CHUNKED + b"7\r\n" + BODY + b"\r\n0\r\nLate: b\r\n\r\n" + OFFERED, SIZED + BODY], [BODY, BODY]),
        ([OFFERED.replace(b"POST /echo", b"GET /fine") + b"\r\n" + GET + b"\r\n"], [FINE, FINE]),
    ],
)
def test_an_offer_to_upgrade_loses_neither_a_body_nor_the_next_request(server, parts, bodies, caplog):
    caplog.set_level(logging.WARNING)
    assert answers(server, *parts) == [*bodies, FINE]
    assert caplog.text == ""


def test_an_offer_with_a_request_to_close_closes(server):
    close = OFFERED.replace(b"Upgrade\r\nUp", b"Upgrade, close\r\nUp") + b"Content-Length: 7\r\n\r\n"
    status, headers, content = sent(server, close, b'{"a":1}')
    assert (status, headers["connection"], content) == (200, "close", b'{"a":1}')


def test_the_forms_of_a_target(server):
    assert sent(server, b"GET http://a/fine?b=c HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 200
    status, _, content = sent(server, b"GET /fine?b=zo%C3%AB HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (status, json.loads(content)["q"]) == (200, {"b": "zoë"})
    assert sent(server, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 404
    for method in (b"OPTIONS", b"DELETE", b"PROPFIND"):
        status, headers, content = sent(server, method + b" /fine HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (status, headers["allow"], json.loads(content)["status"]) == (405, "GET, HEAD", 405)
        status, headers, _ = sent(server, method + b" /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_head_has_the_headers_of_get_and_no_body(server):
    status, headers, content = sent(server, b"HEAD /fine HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert (status, content) == (200, b"")
    expected, length, _ = sent(server, GET + b"\r\n")
    assert (status, headers["content-type"]) == (expected, length["content-type"])
    assert int(headers["content-length"]) == len('{"q":{},"head":true}')
    status, headers, content = sent(server, b"HEAD /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert (status, headers["allow"], content) == (405, "POST", b"")


def posted(server, path: bytes, coding: bytes, body: bytes) -> tuple[int, dict[str, str], bytes]:
    head = b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Encoding: " + coding
    return sent(server, head + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n", body)


def test_gzip_bodies_are_read_within_the_same_bound(server):
    content = json.dumps({"a": "x" * 1000}).encode()
    packed = gzip.compress(content)
    assert json.loads(posted(server, b"/echo", b"gzip", packed)[2]) == json.loads(content)
    assert json.loads(posted(server, b"/echo", b"X-GZIP", packed)[2]) == json.loads(content)
    assert json.loads(posted(server, b"/echo", b"identity", content)[2]) == json.loads(content)
    members = gzip.compress(content[:500]) + gzip.compress(content[500:])
    assert json.loads(posted(server, b"/echo", b"gzip", members)[2]) == json.loads(content)
    full = gzip.compress(bytes(payload.MAX_BODY))
    assert posted(server, b"/length", b"gzip", full)[2] == str(payload.MAX_BODY).encode()
    assert posted(server, b"/length", b"gzip", gzip.compress(bytes(payload.MAX_BODY + 1)))[0] == 413
    assert posted(server, b"/length", b"gzip", gzip.compress(bytes(300 * payload.MAX_BODY), 9))[0] == 413
    most = gzip.compress(b"") * payload.MAX_MEMBERS
    assert posted(server, b"/length", b"gzip", most)[2] == b"0"
    assert posted(server, b"/length", b"gzip", most + gzip.compress(b""))[0] == 413
    endless = gzip.compress(b"")[:10] + b"\x00\x00\x00\xff\xff" * (payload.MAX_BODY // 5)  # blocks of nothing
    head = POST.replace(b"/echo", b"/length") + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert sent(server, head, b"%x\r\n" % len(endless), endless)[0] == 413
    for damaged in (packed[:-4], packed[:20], b"{}", packed + b"more", zlib.compress(content)):
        status, _, answer = posted(server, b"/echo", b"gzip", damaged)
        assert (status, json.loads(answer)["status"]) == (400, 400), damaged


@pytest.mark.parametrize("coding", [b"deflate", b"br", b"gzip, gzip", b"zstd", b"gzip\r\nContent-Encoding: gzip"])
def test_other_codings_are_refused_with_what_is_read(server, coding):
    status, headers, content = posted(server, b"/echo", coding, b"x")
    assert (status, headers["accept-encoding"]) == (415, "gzip")
    assert headers["content-type"] == "application/problem+json"
    assert "gzip" in json.loads(content)["detail"]


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"a": 1, "a": 1}', "a"),
        (b'{"a": {"b": [{"c": 1, "c": 2}]}}', "c"),
        (b'[{"a": 1}, {"a": 1, "\\u0061": 2}]', "a"),
        (b'{"n": ' + b"9" * 500 + b', "n": 1}', "n"),
    ],
)
def test_repeated_keys_are_refused(server, body, key):
    status, _, content = posted(server, b"/echo", b"identity", body)
    assert (status, json.loads(content)["field"]) == (422, key)


def test_a_body_is_no_head(server):
    content = b"[" + b" " * 200_000 + b"]"
    head = POST + b"Content-Length: " + str(len(content)).encode() + b"\r\n\r\n"
    assert sent(server, head, content)[::2] == (200, b"[]")
    assert sent(server, head + content)[::2] == (200, b"[]")


def test_a_connection_is_used_again(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        answer = client.makefile("rb")
        for _ in range(3):
            client.sendall(GET + b"\r\n")
            assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
            while (line := answer.readline()) != b"\r\n":
                length = int(line.split()[1]) if line.startswith(b"content-length") else 0
            assert length >= 0
            assert answer.read(len('{"q":{},"head":false}')) == b'{"q":{},"head":false}'
