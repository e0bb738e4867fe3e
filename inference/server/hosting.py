"""Runs KServe's HTTP and gRPC servers in one process until SIGTERM or SIGINT, then lets requests end.

KServe's own `ModelServer.start` binds every interface, replaces the signal handlers and refuses to start before a model
is ready; a server here listens at once and says on its health routes when it is ready.
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

SWITCH_SECONDS = 0.001  # how long a background thread may hold the interpreter while a request waits


class HttpServer(Protocol):
    """KServe's RESTServer, as far as it is needed."""

    config: Any

    def start(self) -> Coroutine[Any, Any, None]:
        """Serves until the process is told to stop."""


class GrpcServer(Protocol):
    """KServe's GRPCServer, as far as it is needed."""

    def start(self, max_workers: int) -> Coroutine[Any, Any, None]:
        """Serves until `stop`."""

    def stop(self) -> Coroutine[Any, Any, None]:
        """Lets calls end, and ends."""


def configure_logs() -> None:
    """One line an event on stderr; no line a request.

    KServe logs a traceback for each malformed request a client sends; those answers are counted instead.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("kserve").addFilter(lambda record: record.msg != "Exception:")
    # A handler of its own keeps KServe from installing its access logging.
    logging.getLogger("kserve").addHandler(logging.NullHandler())
    for name in ("kserve", "kserve.trace", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("kserve.trace").disabled = True


def guard_routes(is_ready: Callable[[], bool], why_not: str) -> APIRouter:
    """Routes that come before KServe's of the same paths: readiness as it is, and a repository closed to requests.

    Args:
        is_ready: Whether requests can be answered.
        why_not: The sentence while they cannot.
    """
    router = APIRouter()

    @router.get("/v2/health/ready", response_class=Response, include_in_schema=False)
    async def ready() -> Response:
        """Ready once a bundle is loaded."""
        return Response(b'{"ready":true}', media_type="application/json") if is_ready() else problem(503, why_not)

    @router.post("/v2/repository/{path:path}", response_class=Response, include_in_schema=False)
    async def repository(_request: Request) -> Response:
        """KServe would unload a model for anyone who asks."""
        return problem(403, "What is served follows the store's current bundle and is not changed by request.")

    return router


def run(http: HttpServer, host: str, grpc: GrpcServer | None = None, on_stop: Callable[[], None] | None = None) -> None:
    """Serves until a signal, then stops in order: HTTP, gRPC, `on_stop`.

    Args:
        http: The HTTP server; it handles the signals.
        host: Address it binds to.
        grpc: The gRPC server, if any.
        on_stop: Ends what the process started beside.
    """
    http.config.host = host
    sys.setswitchinterval(SWITCH_SECONDS)
    # A full garbage collection walks the hundred thousands of objects that the imports leave for good, and nobody is
    # answered meanwhile; loading a bundle would set one off.
    gc.collect()
    gc.freeze()
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn stops on a signal and then raises it again for whoever handled it before: nobody.
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
