"""The transformer: KServe's HTTP server with the recommender in front of the predictor.

Defines the routes of contract 3. The V1 and V2 routes decode the body here and then call the KServe model. So a
malformed body of any content type becomes a problem response. A request runs in one worker thread; the event loop only
reads and writes. The model holds no state of a request.

    python -m inference.transformer
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response
from kserve import InferRequest, Model, ModelServer
from kserve.model_server import app
from kserve.protocol.rest.server import RESTServer
from pydantic import ValidationError

from feature_repo.errors import RequestError, exit_with_sentence
from inference.api import problems, tensors
from inference.api.payload import refuse_repeats
from inference.api.requests import Instances, RecommendationRequest, from_tensors
from inference.api.responses import server_timing
from inference.metrics import Metrics
from inference.server import hosting
from inference.server.backend import Backend
from inference.server.events_route import EVENTS_PATH, events_route
from inference.server.service import REQUEST_ID_HEADER, Service, sent_id
from inference.settings import ServingSettings

MODEL = "recommender"
API_PATH = "/api/v1/recommendations"
V1_PATH = f"/v1/models/{MODEL}:predict"
V2_PATH = f"/v2/models/{MODEL}/infer"


class RecommenderModel(Model):
    """The KServe model of the service: V1 instances and V2 tensors in, slates out."""

    def __init__(self, service: Service, pool: ThreadPoolExecutor) -> None:
        super().__init__(MODEL)
        self._service = service
        self._pool = pool

    async def healthy(self) -> bool:
        """Reports ready once a bundle is loaded."""
        return self._service.ready

    def validate(self, payload: Any) -> Any:
        """Returns the payload unchanged: KServe's own check differs by protocol, so `predict` validates instead."""
        return payload

    def get_input_types(self) -> list[dict[str, Any]]:
        """Returns the input tensors of a V2 request."""
        return [
            {"name": "user_id", "datatype": "BYTES", "shape": [-1]},
            {"name": "surface", "datatype": "BYTES", "shape": [-1]},
            {"name": "item_id", "datatype": "BYTES", "shape": [-1]},
            {"name": "count", "datatype": "INT32", "shape": [1]},
        ]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Returns the output tensors of a V2 response."""
        return [
            {"name": "item_id", "datatype": "BYTES", "shape": [-1, -1]},
            {"name": "score", "datatype": "FP32", "shape": [-1, -1]},
            {"name": "request_id", "datatype": "BYTES", "shape": [-1]},
        ]

    async def predict(
        self, payload: Any, headers: dict[str, str] | None = None, _response_headers: dict[str, str] | None = None
    ) -> Any:
        """Validates and answers a V1 body or a V2 request."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._answer, payload, headers or {})

    def _answer(self, payload: Any, headers: Mapping[str, str]) -> Any:
        if isinstance(payload, InferRequest):
            refuse_repeats([tensor.name for tensor in payload.inputs])
            asked = from_tensors({tensor.name: tensors.values(tensor) for tensor in payload.inputs})
            answers = self._service.answer(asked, headers)
            slates, bodies = [answer.slate for answer in answers], [answer.body for answer in answers]
            return tensors.tensors(payload, slates, bodies, MODEL)
        asked = Instances.model_validate(payload).instances
        return {"predictions": [answer.body for answer in self._service.answer(asked, headers)]}


def routes(service: Service, model_server: ModelServer, pool: ThreadPoolExecutor) -> APIRouter:
    """Returns the routes; they take precedence over KServe's routes of the same paths."""
    router = APIRouter()

    @router.get(API_PATH, response_class=Response)
    async def recommendations(asked: Annotated[RecommendationRequest, Query()], request: Request) -> Response:
        """Returns a slate. A HEAD request gets the headers; its slate is not logged, because no user sees it."""
        refuse_repeats([name for name, _ in request.query_params.multi_items()])
        request.scope["surface"] = asked.surface
        loop = asyncio.get_running_loop()
        shown = not problems.is_head(request)
        (answer,) = await loop.run_in_executor(pool, partial(service.answer, [asked], request.headers, shown=shown))
        query = answer.slate.query
        headers = {
            "Server-Timing": server_timing({**answer.slate.stage_seconds, "total": answer.seconds}),
            REQUEST_ID_HEADER: sent_id(request.headers) or query.request_id,
        }
        return Response(tensors.to_json(answer.body), media_type="application/json", headers=headers)

    @router.post(V1_PATH, response_class=Response, operation_id="predict")
    async def predict(request: Request) -> Response:
        """V1: {"instances": [...]} -> {"predictions": [...]}."""
        content = tensors.parsed(await request.body())
        answer, _ = await _inferred(model_server, content, request)
        text = await asyncio.get_running_loop().run_in_executor(pool, tensors.to_json, answer)  # a batch has megabytes
        return Response(text, media_type="application/json")

    @router.post(V2_PATH, response_class=Response, operation_id="infer")
    async def infer(request: Request) -> Response:
        """V2, the Open Inference Protocol, in JSON or with binary tensors."""
        decoded = tensors.decoded(await request.body(), request.headers.get(tensors.BINARY_HEADER), MODEL)
        answer, _ = await _inferred(model_server, decoded, request)
        return await asyncio.get_running_loop().run_in_executor(pool, tensors.encoded, answer)

    return router


def main() -> None:
    """Entry point."""
    hosting.configure_logs()
    with exit_with_sentence():
        _serve(ServingSettings.from_environment())


def _serve(settings: ServingSettings) -> None:
    metrics = Metrics()
    backend = Backend.open(settings, metrics)
    pool = ThreadPoolExecutor(settings.request_threads, thread_name_prefix="request")
    server = ModelServer(http_port=settings.http_port, enable_grpc=False, enable_latency_logging=False)
    server.register_model(RecommenderModel(backend.service, pool))
    application: FastAPI = app
    problems.install(application, partial(_count_error, metrics))
    application.include_router(hosting.guard_routes(lambda: backend.service.ready, "No bundle is loaded yet."))
    application.include_router(routes(backend.service, server, pool))
    application.include_router(events_route(backend.service, pool, metrics))
    http = RESTServer(
        "kserve.model_server:app",
        server.dataplane,
        server.model_repository_extension,
        settings.http_port,
        grace_period=settings.grace_seconds,
    )
    backend.start()

    def stop() -> None:
        backend.close()
        pool.shutdown(wait=False, cancel_futures=True)

    hosting.run(http, settings.host, on_stop=stop, on_refused=partial(metrics.request, ""))


def _count_error(metrics: Metrics, scope: Mapping[str, Any], status: int) -> None:
    """Counts failed requests; the service counts answered slates, and events that could be parsed."""
    if status >= 400 and scope["path"] in (API_PATH, V1_PATH, V2_PATH):
        metrics.request(scope.get("surface", ""), status)
    if status in (400, 413) and scope["path"] == EVENTS_PATH:
        metrics.events("refused", 1)


async def _inferred(server: ModelServer, content: Any, request: Request) -> Any:
    if not await server.dataplane.model_ready(MODEL):
        raise RequestError("No bundle is loaded yet; ask again in a moment.", status=503)
    try:
        return await server.dataplane.infer(model_name=MODEL, request=content, headers=dict(request.headers))
    except ValidationError as error:
        raise problems.InvalidFields(error.errors()) from error


if __name__ == "__main__":
    main()
