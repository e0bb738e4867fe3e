"""Errors as application/problem+json (RFC 9457), on every route, including the routes of KServe and FastAPI.

KServe installs its own error handlers when it starts; they answer {"error": ...}. The middleware rewrites every error
that is not a problem yet, so the order of installation does not matter. Texts of unexpected failures are logged and not
sent to the client. Requests that the HTTP parser rejects never come here; `server/http_protocol.py` answers them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from feature_repo.errors import KuberecError, RequestError
from inference.api import payload

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20  # reported per request; a list of invalid events can have thousands
CLIENT_GONE = 499  # status counted for a client that disconnected; not a server error
log = logging.getLogger("kuberec")

TITLES: Mapping[int, tuple[str, str]] = {
    400: ("malformed-request", "The request cannot be read"),
    403: ("forbidden", "This action is not allowed"),
    404: ("not-found", "The resource was not found"),
    405: ("method-not-allowed", "The method is not allowed for this path"),
    413: ("too-large", "The request is too large"),
    415: ("unsupported-coding", "The coding of the body is not supported"),
    422: ("invalid-field", "A field of the request is invalid"),
    431: ("head-too-large", "The request line and headers are too large"),
    500: ("internal-error", "The server failed"),
    501: ("not-offered", "The function is not enabled"),
    503: ("not-ready", "The server is not ready"),
}
STOPPING = "The server stops before the request is complete; send it again."
INTERNAL_ERROR = "The server failed unexpectedly; see the server's log for the cause."


class InvalidFields(RequestError):
    """Fields that pydantic rejected.

    Args:
        found: The errors that pydantic found, at least one.
    """

    def __init__(self, found: Sequence[Mapping[str, Any]]) -> None:
        self.errors = [{"field": _field(one["loc"]), "detail": str(one["msg"])} for one in found[:MAX_ERRORS]]
        first = self.errors[0]
        super().__init__(f"{first['field']}: {first['detail']}.", field=first["field"])


def problem(
    status: int,
    detail: str,
    field: str | None = None,
    errors: Sequence[Mapping[str, str]] = (),
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem response.

    Args:
        status: HTTP status, 4xx or 5xx.
        detail: The error in one sentence.
        field: The invalid parameter or body field.
        errors: All invalid fields, if there are several: {"field", "detail"}.
        headers: Additional headers.
    """
    slug, title = TITLES.get(status, ("error", "The request failed"))
    body: dict[str, Any] = {"type": f"urn:kuberec:problem:{slug}", "title": title, "status": status, "detail": detail}
    if field is not None:
        body["field"] = field
    if errors:
        body["errors"] = list(errors)
    return Response(json.dumps(body), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def install(app: FastAPI, observe: Callable[[Scope, int], None] | None = None) -> None:
    """Turns every error of an application into a problem response.

    Args:
        app: KServe's application, before it starts.
        observe: Called with the request's scope and the status of every response.
    """
    app.add_exception_handler(KuberecError, _on_kuberec_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_middleware(ProblemMiddleware, observe=observe)


class ProblemMiddleware:
    """Rewrites errors as problems, reads bodies with limits, and answers uncaught exceptions with a 500.

    HEAD runs the route of GET, and the server leaves out the body; a route can ask `is_head`.
    """

    def __init__(self, app: ASGIApp, observe: Callable[[Scope, int], None] | None = None) -> None:
        self.app = app
        self.observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        rewriter = _Rewriter(scope, receive, send)
        try:
            coding = payload.check_headers(scope)
            asked = {**scope, "method": "GET", "head": True} if scope["method"] == "HEAD" else scope
            await self.app(asked, payload.bounded(receive, coding), rewriter)
        except HTTPException as error:
            await _of_http_error(error)(scope, receive, rewriter)
        except ClientDisconnect:  # while it sent the request body
            rewriter.status = CLIENT_GONE
        except asyncio.CancelledError:  # by the server, for requests that are not finished after its time to stop
            if not rewriter.started:
                await problem(503, STOPPING)(scope, receive, rewriter)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if not rewriter.started:
                await problem(500, INTERNAL_ERROR)(scope, receive, rewriter)
        finally:
            if self.observe is not None:
                self.observe(scope, rewriter.status)


class _Rewriter:
    """Forwards a response; an error is forwarded as a problem."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._asgi = (scope, receive, send)
        self._held: Message | None = None
        self._body = b""
        self.status = 500
        self.started = False

    async def __call__(self, message: Message) -> None:
        send = self._asgi[2]
        if message["type"] == "http.response.start":
            self.status = message["status"]
            kind = Headers(raw=message["headers"]).get("content-type", "")
            if self.status >= 400 and not kind.startswith(MEDIA_TYPE):
                self._held = message
                return
        elif self._held is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                self.started = True
                allow = Headers(raw=self._held["headers"]).get("allow")
                answer = problem(
                    self.status, _detail_of(self.status, self._body), headers={"allow": allow} if allow else {}
                )
                await answer(*self._asgi)
            return
        self.started = True
        await send(message)


def is_head(request: Request) -> bool:
    """Whether the client asked for the headers only."""
    return bool(request.scope.get("head"))


def _of_request_error(error: RequestError) -> Response:
    errors = error.errors if isinstance(error, InvalidFields) else ()
    return problem(error.status, str(error), error.field, errors)


async def _on_kuberec_error(_request: Request, error: Exception) -> Response:
    if isinstance(error, RequestError):
        return _of_request_error(error)
    log.error("%s: %s", type(error).__name__, error)
    return problem(503, str(error))


async def _on_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _of_http_error(error)


def _of_http_error(error: HTTPException) -> Response:
    headers = dict(error.headers or {})
    methods = set(headers.get("Allow", "").split(", "))
    if "GET" in methods:
        headers["Allow"] = ", ".join(sorted(methods | {"HEAD"}))
    return problem(error.status_code, _sentence(error.detail, error.status_code), headers=headers)


async def _on_validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _of_request_error(InvalidFields(error.errors()))


def _field(location: Sequence[int | str]) -> str:
    parts = [str(part) for part in location if part not in ("query", "body", "header", "path")]
    return ".".join(parts) or "body"


def _sentence(text: Any, status: int) -> str:
    known = {404: "Nothing is served under this path.", 405: "This path does not support the method."}
    return known.get(status) or str(text)


def _detail_of(status: int, body: bytes) -> str:
    """Returns the message in a framework's error body; messages of unexpected failures are only logged."""
    if status == 500:
        return INTERNAL_ERROR
    try:
        content = json.loads(body)
    except ValueError:
        content = body.decode("utf-8", errors="replace")
    if isinstance(content, dict):
        content = content.get("error") or content.get("detail") or content
    return str(content)[:500] or TITLES.get(status, ("", "The request failed."))[1]
