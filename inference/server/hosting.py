"""Runs KServe's HTTP and gRPC servers in one process until SIGTERM or SIGINT, then completes running requests.

KServe's own `ModelServer.start` binds every interface, replaces the signal handlers and does not start before a model
is ready. A server started here listens at once and reports readiness on its health routes.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from fastapi import APIRouter, Request, Response

from inference.api.problems import problem
from inference.server import http_protocol

SWITCH_SECONDS = 0.001  # how long a background thread may hold the interpreter while a request waits


class HttpServer(Protocol):
    """The part of KServe's RESTServer that is used here."""

    config: Any

    def start(self) -> Coroutine[Any, Any, None]:
        """Serves until the process receives a signal to stop."""


class GrpcServer(Protocol):
    """The part of KServe's GRPCServer that is used here."""

    def start(self, max_workers: int) -> Coroutine[Any, Any, None]:
        """Serves until `stop`."""

    def stop(self) -> Coroutine[Any, Any, None]:
        """Completes running calls, then stops."""


def configure_logs() -> None:
    """Configures logging to stderr: one line for each event, none for each request.

    KServe logs a traceback for each malformed request; here those responses are only counted.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("kserve").addFilter(lambda record: record.msg != "Exception:")
    # With a handler in place, KServe does not install its access log.
    logging.getLogger("kserve").addHandler(logging.NullHandler())
    for name in ("kserve", "kserve.trace", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("kserve.trace").disabled = True


def guard_routes(is_ready: Callable[[], bool], why_not: str) -> APIRouter:
    """Returns routes that take precedence over KServe's: readiness, and a model repository that rejects changes.

    Args:
        is_ready: Returns whether requests can be answered.
        why_not: The error sentence while they cannot.
    """
    router = APIRouter()

    @router.get("/v2/health/ready", response_class=Response, include_in_schema=False)
    async def ready() -> Response:
        """Reports ready once a bundle is loaded."""
        return Response(b'{"ready":true}', media_type="application/json") if is_ready() else problem(503, why_not)

    @router.post("/v2/repository/{path:path}", response_class=Response, include_in_schema=False)
    async def repository(_request: Request) -> Response:
        """Rejects the request; KServe would unload a model for any client."""
        return problem(403, "The served bundle follows the store's current bundle; change it there.")

    return router


def run(
    http: HttpServer,
    host: str,
    grpc: GrpcServer | None = None,
    on_stop: Callable[[], None] | None = None,
    on_refused: Callable[[int], None] = lambda _status: None,
) -> None:
    """Serves until a signal arrives, then stops in order: HTTP, gRPC, `on_stop`.

    Args:
        http: The HTTP server; it handles the signals.
        host: Address it binds to.
        grpc: The gRPC server, if any.
        on_stop: Closes the other parts of the process.
        on_refused: Called with the status of each answer to bytes that are not a request.
    """
    http.config.host = host
    http_protocol.configure(http.config, on_refused)
    sys.setswitchinterval(SWITCH_SECONDS)
    # A full garbage collection visits several hundred thousand objects that the imports created, and blocks every
    # request meanwhile. Loading a bundle would trigger it, so these objects are frozen.
    gc.collect()
    gc.freeze()
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn stops on a signal and then raises the signal again; this handler ignores the second one.
        signal.signal(number, lambda *_: None)
    try:
        asyncio.run(_serve(http, grpc))
    finally:
        if on_stop is not None:
            on_stop()


async def _serve(http: HttpServer, grpc: GrpcServer | None) -> None:
    serving = None if grpc is None else asyncio.create_task(grpc.start(4))
    try:
        await http.start()
    finally:
        if grpc is not None and serving is not None:
            await grpc.stop()
            await asyncio.wait([serving], timeout=5.0)
