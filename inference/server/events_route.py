"""The route that accepts events: it answers 202 once the events are on the disk.

Accepted events then go to the live record, before the answer, so that the client's next request knows them.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from feature_repo.errors import RequestError, StorageError
from inference.api import problems
from inference.api.payload import parsed_json
from inference.metrics import Metrics
from inference.server.service import Service

EVENTS_PATH = "/api/v1/events"
SYNC_SECONDS = 10.0  # how long a request waits for the disk


def events_route(service: Service, pool: ThreadPoolExecutor, metrics: Metrics) -> APIRouter:
    """`POST /api/v1/events`: an event or a list of at most 1,000.

    Args:
        service: Accepts the events.
        pool: Threads that validate the events and write the live record; waiting for the disk uses no thread.
        metrics: Counts the events that were not on the disk in time.
    """
    router = APIRouter()

    @router.post(EVENTS_PATH, response_class=Response, status_code=202)
    async def events(request: Request) -> Response:
        """Events -> {"accepted": n}; an event that is posted again is accepted again and counts once."""
        body, headers = await request.body(), request.headers
        loop = asyncio.get_running_loop()
        try:
            accepted, kept = await loop.run_in_executor(pool, lambda: service.accept(_parsed(body), headers))
        except ValidationError as error:
            raise problems.InvalidFields(error.errors(include_url=False, include_input=False)) from error
        num = len(accepted)
        waiting = asyncio.wrap_future(kept)
        done, _ = await asyncio.wait([waiting], timeout=SYNC_SECONDS)
        if not done:
            waiting.cancel()  # if it is written after all, its id identifies the repeat
            metrics.events("failed", num)
            said = "The disk of the event journal does not answer; post the events again in a moment."
            raise RequestError(said, status=503)
        try:
            waiting.result()
        except StorageError as error:  # counted instead of logged for every post
            raise RequestError(str(error), status=503) from error
        await loop.run_in_executor(pool, service.remember, accepted)
        return Response(json.dumps({"accepted": num}), status_code=202, media_type="application/json")

    return router


def _parsed(body: bytes) -> Any:
    """Parses a JSON object or list, see `payload.parsed_json`."""
    content = parsed_json(body)
    if not isinstance(content, dict | list):
        raise RequestError("The body is not a JSON object or a list of objects.", status=400)
    return content
