"""The transformer: KServe's HTTP server with the recommender in front of the predictor.

Owns the routes of contract 3. The V1 and V2 routes decode at our edge, so that a malformed body is a problem whatever
its content type, and then go through the KServe model. A request runs in a worker thread from end to end; the event
loop only reads and writes. No state of a request lives on the model.

    python -m inference.transformer
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, FastAPI, Query, Request, Response
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.errors import InferenceError, InvalidInput
from kserve.model_server import app
from kserve.protocol.rest.server import RESTServer
from kserve.protocol.rest.v2_datamodels import InferenceRequest
from pydantic import ValidationError

from feature_repo.errors import RequestError, exit_with_sentence
from feature_repo.state import ItemColumns
from inference import hosting, problems
from inference.artifacts import Artifacts
from inference.bundle import Bundle
from inference.catalogue import CatalogueKey, CatalogueProcess
from inference.clock import Clock
from inference.executor import Executor
from inference.feature_store import OnlineFeatures, StoreSettings
from inference.late_reader import LateReader
from inference.metrics import Metrics
from inference.recommender import Timeouts, UserReader
from inference.releases import Release, Releases
from inference.requests import Instances, RecommendationRequest, from_tensors
from inference.responses import server_timing
from inference.scorers.remote import RemoteScorer
from inference.service import REQUEST_ID_HEADER, Answer, Service
from inference.settings import ServingSettings
from inference.store import BundleStore

MODEL = "recommender"
BINARY_HEADER = "inference-header-content-length"
API_PATH = "/api/v1/recommendations"
V1_PATH = f"/v1/models/{MODEL}:predict"
V2_PATH = f"/v2/models/{MODEL}/infer"
_UNREADABLE = (
    InvalidInput, InferenceError, ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error,
)  # fmt: skip


class RecommenderModel(Model):
    """KServe's view of the service: V1 instances and V2 tensors in, slates out."""

    def __init__(self, service: Service, pool: ThreadPoolExecutor) -> None:
        super().__init__(MODEL)
        self._service = service
        self._pool = pool

    async def healthy(self) -> bool:
        """Ready once a bundle is loaded."""
        return self._service.ready

    def validate(self, payload: Any) -> Any:
        """KServe's own check answers differently by protocol; ours is in `predict`."""
        return payload

    def get_input_types(self) -> list[dict[str, Any]]:
        """Tensors of a V2 request."""
        return [
            {"name": "user_id", "datatype": "BYTES", "shape": [-1]},
            {"name": "surface", "datatype": "BYTES", "shape": [-1]},
            {"name": "item_id", "datatype": "BYTES", "shape": [-1]},
            {"name": "count", "datatype": "INT32", "shape": [1]},
        ]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Tensors of a V2 answer."""
        return [
            {"name": "item_id", "datatype": "BYTES", "shape": [-1, -1]},
            {"name": "score", "datatype": "FP32", "shape": [-1, -1]},
            {"name": "request_id", "datatype": "BYTES", "shape": [-1]},
        ]

    async def predict(
        self, payload: Any, headers: dict[str, str] | None = None, _response_headers: dict[str, str] | None = None
    ) -> Any:
        """Answers a V1 body or a V2 request, checked here."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._answer, payload, headers or {})

    def _answer(self, payload: Any, headers: Mapping[str, str]) -> Any:
        if isinstance(payload, InferRequest):
            asked = from_tensors({tensor.name: _values(tensor) for tensor in payload.inputs})
            return _tensors(payload, self._service.answer(asked, headers))
        asked = Instances.model_validate(payload).instances
        return {"predictions": [answer.body for answer in self._service.answer(asked, headers)]}


def routes(service: Service, model_server: ModelServer, pool: ThreadPoolExecutor) -> APIRouter:
    """Our routes; they come before KServe's of the same paths."""
    router = APIRouter()

    @router.get(API_PATH, response_class=Response)
    async def recommendations(asked: Annotated[RecommendationRequest, Query()], request: Request) -> Response:
        """A slate."""
        request.scope["surface"] = asked.surface
        loop = asyncio.get_running_loop()
        (answer,) = await loop.run_in_executor(pool, service.answer, [asked], request.headers)
        query = answer.slate.query
        headers = {
            "Server-Timing": server_timing({**answer.slate.stage_seconds, "total": answer.seconds}),
            REQUEST_ID_HEADER: query.request_id,
        }
        return Response(_json(answer.body), media_type="application/json", headers=headers)

    @router.post(V1_PATH, response_class=Response, operation_id="predict")
    async def predict(request: Request) -> Response:
        """V1: {"instances": [...]} -> {"predictions": [...]}."""
        content = _parsed(await request.body())
        answer, _ = await _inferred(model_server, content, request)
        return Response(_json(answer), media_type="application/json")

    @router.post(V2_PATH, response_class=Response, operation_id="infer")
    async def infer(request: Request) -> Response:
        """V2, the Open Inference Protocol, in JSON or with binary tensors."""
        decoded = _decoded(await request.body(), request.headers.get(BINARY_HEADER))
        answer, _ = await _inferred(model_server, decoded, request)
        return _encoded(answer)

    return router


def main() -> None:
    """Entry point."""
    hosting.configure_logs()
    with exit_with_sentence():
        _serve(ServingSettings.from_environment())


def _serve(settings: ServingSettings) -> None:
    metrics = Metrics()
    executor = Executor(strict=False, threads=4 * settings.request_threads, observer=metrics)
    scorer = RemoteScorer(settings.predictor)
    catalogue = CatalogueProcess()
    releases = Releases(
        BundleStore(settings.store, settings.cache),
        partial(_open_reader, settings=settings),
        partial(_read_items, catalogue=catalogue, settings=settings),
        scorer,
        scorer.holds,
        executor,
        Timeouts(settings.users_seconds, settings.sources_seconds, settings.ranker_seconds),
        metrics,
        poll_seconds=settings.poll_seconds,
        items_seconds=settings.items_seconds,
    )
    service = Service(releases, Clock(settings.clock), metrics, settings.deadline_seconds)
    pool = ThreadPoolExecutor(settings.request_threads, thread_name_prefix="request")
    server = ModelServer(http_port=settings.http_port, enable_grpc=False, enable_latency_logging=False)
    server.register_model(RecommenderModel(service, pool))
    application: FastAPI = app
    problems.install(application, partial(_count_error, metrics))
    application.include_router(hosting.guard_routes(lambda: service.ready, "No bundle is loaded yet."))
    application.include_router(routes(service, server, pool))
    http = RESTServer(
        "kserve.model_server:app",
        server.dataplane,
        server.model_repository_extension,
        settings.http_port,
        grace_period=settings.grace_seconds,
    )
    releases.start()

    def stop() -> None:
        releases.stop()
        catalogue.close()
        executor.close()
        pool.shutdown(wait=False, cancel_futures=True)
        scorer.close()

    hosting.run(http, settings.host, on_stop=stop)


def _place(bundle: Bundle, settings: ServingSettings) -> StoreSettings:
    """Where a bundle's online features are."""
    facts = bundle.manifest.facts
    return StoreSettings(settings.online_dir, facts.dataset, facts.stage, settings.redis)


def _open_reader(bundle: Bundle, artifacts: Artifacts, settings: ServingSettings) -> UserReader:
    """The users of a bundle; opened once the store is there."""
    place = _place(bundle, settings)
    return LateReader(partial(OnlineFeatures, artifacts.feature_set, artifacts.items.item_ids, place))


def _read_items(release: Release, catalogue: CatalogueProcess, settings: ServingSettings) -> ItemColumns:
    """The catalogue of a release as the online store has it now."""
    bundle = release.bundle
    key = CatalogueKey(bundle.path, _place(bundle, settings))
    return catalogue.items(key, bundle.manifest.facts.features_as_of, release.artifacts.items, bundle.feature_set)


def _count_error(metrics: Metrics, scope: Mapping[str, Any], status: int) -> None:
    """Counts failed requests; answered slates are counted by the service."""
    if status >= 400 and scope["path"] in (API_PATH, V1_PATH, V2_PATH):
        metrics.request(scope.get("surface", ""), status)


async def _inferred(server: ModelServer, content: Any, request: Request) -> Any:
    if not await server.dataplane.model_ready(MODEL):
        raise RequestError("No bundle is loaded yet; ask again in a moment.", status=503)
    try:
        return await server.dataplane.infer(model_name=MODEL, request=content, headers=dict(request.headers))
    except ValidationError as error:
        raise problems.InvalidFields(error.errors()) from error


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"The body is no JSON: {error}.", status=400) from error
    if not isinstance(parsed, dict):
        raise RequestError("The body is no JSON object.", status=400)
    return parsed


def _decoded(content: bytes, json_length: str | None) -> InferRequest:
    """A V2 request out of JSON, or of JSON followed by binary tensors where a header says how long the JSON is."""
    try:
        if json_length is None:
            return InferRequest.from_inference_request(InferenceRequest.model_validate(_parsed(content)), MODEL)
        return InferRequest.from_bytes(content, int(json_length), MODEL)
    except ValidationError as error:
        raise problems.InvalidFields(error.errors()) from error
    except _UNREADABLE as error:
        raise RequestError(f"The body is no V2 inference request: {error}.", status=400) from error


def _values(tensor: Any) -> list[Any]:
    """Flat values of an input tensor; text of BYTES."""
    expected = "INT32" if tensor.name == "count" else "BYTES"
    if tensor.datatype not in (expected, "INT64" if expected == "INT32" else expected):
        raise RequestError(
            f"The input {tensor.name[:64]} is {tensor.datatype[:16]}, not {expected}.", field=tensor.name
        )
    try:
        flat = tensor.as_numpy().reshape(-1).tolist()
        return [value.decode() if isinstance(value, bytes) else value for value in flat]
    except (*_UNREADABLE, OverflowError) as error:
        raise RequestError(f"The input {tensor.name[:64]} cannot be read: {error}.", field=tensor.name) from error


def _tensors(asked: InferRequest, answers: list[Answer]) -> InferResponse:
    """Answers as tensors; short feeds are padded with "" and NaN."""
    width = max(answer.slate.query.count for answer in answers)
    items = np.full((len(answers), width), "", dtype=object)
    scores = np.full((len(answers), width), np.nan, dtype=np.float32)
    for place, answer in enumerate(answers):
        shown = answer.body["items"]
        items[place, : len(shown)] = [item["item_id"] for item in shown]
        scores[place, : len(shown)] = answer.slate.scores
    ids = np.array([answer.body["request_id"] for answer in answers], dtype=object)
    outputs = []
    for name, kind, values in (("item_id", "BYTES", items), ("score", "FP32", scores), ("request_id", "BYTES", ids)):
        output = InferOutput(name, list(values.shape), kind)
        output.data = values
        outputs.append(output)
    return InferResponse(
        response_id=asked.id or str(ids[0]),
        model_name=MODEL,
        model_version=answers[0].slate.bundle_version,
        infer_outputs=outputs,
        use_binary_outputs=asked.use_binary_outputs,
        requested_outputs=asked.request_outputs,
    )


def _encoded(answer: InferResponse) -> Response:
    try:
        content, json_length = answer.to_rest()
    except InvalidInput as error:
        raise RequestError(str(error), field="outputs") from error
    if isinstance(content, bytes):
        headers = {BINARY_HEADER: str(json_length)}
        return Response(content, media_type="application/octet-stream", headers=headers)
    for output in content["outputs"]:
        if output["datatype"] == "FP32":  # JSON has no NaN; null stands for it
            output["data"] = [None if value != value else value for value in output["data"]]
    return Response(_json(content), media_type="application/json")


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


if __name__ == "__main__":
    main()
