# ruff: noqa: N802 - methods are named as the gRPC service names them
"""The predictor: KServe's gRPC server with the rankers of the current and the previous bundle.

Each call names a bundle. The predictor rejects a bundle that it does not hold, so that a transformer on an older or
newer bundle never mixes releases. ModelReady with a version reports whether the bundle is held. The predictor needs no
feature store, index or torch. Its rankers implement `scorers.protocol.Ranker`, on any device.

    python -m inference.predictor
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from fastapi import FastAPI
from grpc import aio
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.errors import InvalidInput
from kserve.model_server import app
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.rest.server import RESTServer

from feature_repo.errors import PredictorError, RequestError, exit_with_sentence
from feature_repo.features.state import FloatArray
from inference.api import problems
from inference.bundles.store import BundleStore
from inference.metrics import Metrics
from inference.scorers.protocol import Ranker
from inference.scorers.remote import DEADLINE_PARAMETER, MAX_MESSAGE, MODEL, PROBABILITY_PREFIX, VERSION_PARAMETER
from inference.server import hosting
from inference.server.rankers import Rankers
from inference.settings import ServingSettings

STATUS_CODES = {403: grpc.StatusCode.PERMISSION_DENIED, 404: grpc.StatusCode.NOT_FOUND}


class RankerEndpoint(Model):
    """The KServe model of the rankers: features in, scores and probabilities out."""

    def __init__(self, rankers: Rankers, pool: ThreadPoolExecutor, metrics: Metrics) -> None:
        super().__init__(MODEL)
        self._rankers = rankers
        self._pool = pool
        self._metrics = metrics

    async def healthy(self) -> bool:
        """Ready once a bundle is held."""
        return self._rankers.holds()

    def get_input_types(self) -> list[dict[str, Any]]:
        """Returns the input tensors of a request."""
        return [{"name": "features", "datatype": "FP32", "shape": [-1, -1]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Returns the output tensors; `p_<objective>` follow for each calibrated objective."""
        return [{"name": "score", "datatype": "FP32", "shape": [-1]}]

    async def predict(
        self, payload: Any, _headers: dict[str, str] | None = None, _response_headers: dict[str, str] | None = None
    ) -> InferResponse:
        """Scores the candidates of a V2 request."""
        if not isinstance(payload, InferRequest):
            raise RequestError("The ranker accepts only V2 requests (the Open Inference Protocol).", status=400)
        version = _parameter(payload.parameters, VERSION_PARAMETER)
        if not version:
            raise RequestError(f"The parameter {VERSION_PARAMETER} is missing; send it.", field=VERSION_PARAMETER)
        try:
            ranker = self._rankers.get(str(version))
        except PredictorError as error:
            raise RequestError(str(error), field=VERSION_PARAMETER, status=404) from error
        features = _features(payload)
        allowed = _milliseconds(payload.parameters)
        deadline = None if allowed is None else time.monotonic() + allowed / 1000
        loop = asyncio.get_running_loop()
        score, probabilities = await loop.run_in_executor(self._pool, self._score, ranker, features, deadline)
        columns = {"score": score, **{PROBABILITY_PREFIX + name: column for name, column in probabilities.items()}}
        return InferResponse(
            response_id=payload.id or "",
            model_name=MODEL,
            model_version=str(version),
            parameters={VERSION_PARAMETER: str(version)},
            infer_outputs=[_output(name, column) for name, column in columns.items()],
            use_binary_outputs=payload.use_binary_outputs,
        )

    def _score(
        self, ranker: Ranker, features: FloatArray, deadline: float | None
    ) -> tuple[FloatArray, Mapping[str, FloatArray]]:
        start = time.monotonic()
        if deadline is not None and start > deadline:
            raise PredictorError("The deadline passed before the ranker was free.")
        try:
            scores = ranker.score(features)
        except PredictorError as error:
            raise RequestError(str(error), field="features") from error
        self._metrics.stage("score", time.monotonic() - start)
        return scores


class RankerServicer(InferenceServicer):
    """KServe's servicer, extended to respect model versions."""

    def __init__(self, rankers: Rankers, server: ModelServer) -> None:
        super().__init__(server.dataplane, server.model_repository_extension)
        self._rankers = rankers

    async def ServerReady(self, _request: pb.ServerReadyRequest, _context: Any) -> pb.ServerReadyResponse:
        """Ready once a bundle is held."""
        return pb.ServerReadyResponse(ready=self._rankers.holds())

    async def ModelReady(self, request: pb.ModelReadyRequest, _context: Any) -> pb.ModelReadyResponse:
        """Reports whether the named bundle is held; without a version, whether any bundle is held."""
        return pb.ModelReadyResponse(ready=request.name == MODEL and self._rankers.holds(request.version))

    async def RepositoryModelLoad(self, _request: Any, _context: Any) -> Any:
        """Not by request."""
        raise RequestError("What is held follows the store's current bundle.", status=403)

    async def RepositoryModelUnload(self, _request: Any, _context: Any) -> Any:
        """Not by request."""
        raise RequestError("What is held follows the store's current bundle.", status=403)


class StatusInterceptor(ExceptionToStatusInterceptor):
    """Maps kuberec's errors and client errors to gRPC statuses, without a traceback in the log."""

    async def handle_exception(self, ex: Exception, request_or_iterator: Any, context: Any, method_name: str) -> None:
        """Ends the call with the status of the error."""
        if isinstance(ex, PredictorError):
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(ex))
        if isinstance(ex, RequestError):
            await context.abort(STATUS_CODES.get(ex.status, grpc.StatusCode.INVALID_ARGUMENT), str(ex))
        if isinstance(ex, InvalidInput):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, ex.reason)
        await super().handle_exception(ex, request_or_iterator, context, method_name)


class RankerGrpcServer:
    """KServe's gRPC service with this servicer, on a configured address, without a log line per call."""

    def __init__(self, servicer: RankerServicer, host: str, port: int, grace_seconds: int) -> None:
        self._servicer = servicer
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._grace_seconds = grace_seconds
        self._server: aio.Server | None = None

    async def start(self, max_workers: int) -> None:
        """Serves until `stop`.

        Raises:
            PredictorError: If the port is taken.
        """
        self._server = aio.server(
            ThreadPoolExecutor(max_workers),
            interceptors=(StatusInterceptor(),),
            options=[
                ("grpc.max_send_message_length", MAX_MESSAGE),
                ("grpc.max_receive_message_length", MAX_MESSAGE),
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        add_GRPCInferenceServiceServicer_to_server(self._servicer, self._server)
        try:
            self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise PredictorError(f"The server cannot listen on {self._address}: {error}.") from error
        await self._server.start()
        await self._server.wait_for_termination()

    async def stop(self) -> None:
        """Completes running calls, then stops."""
        if self._server is not None:
            await self._server.stop(self._grace_seconds)


def main() -> None:
    """Entry point."""
    hosting.configure_logs()
    with exit_with_sentence():
        _serve(ServingSettings.from_environment())


def _serve(settings: ServingSettings) -> None:
    metrics = Metrics()
    rankers = Rankers(
        BundleStore(settings.store, settings.cache),
        metrics,
        num_threads=settings.ranker_threads,
        num_held=settings.held_bundles,
        poll_seconds=settings.poll_seconds,
    )
    pool = ThreadPoolExecutor(settings.request_threads, thread_name_prefix="rank")
    server = ModelServer(http_port=settings.http_port, enable_latency_logging=False)
    server.register_model(RankerEndpoint(rankers, pool, metrics))
    application: FastAPI = app
    problems.install(application)
    application.include_router(hosting.guard_routes(rankers.holds, "No bundle is held yet."))
    http = RESTServer(
        "kserve.model_server:app",
        server.dataplane,
        server.model_repository_extension,
        settings.http_port,
        grace_period=settings.grace_seconds,
    )
    grpc_server = RankerGrpcServer(
        RankerServicer(rankers, server), settings.host, settings.grpc_port, settings.grace_seconds
    )
    rankers.start()

    def stop() -> None:
        rankers.stop()
        pool.shutdown(wait=False, cancel_futures=True)

    hosting.run(http, settings.host, grpc_server, on_stop=stop)


def _features(request: InferRequest) -> FloatArray:
    tensor = request.get_input_by_name("features")
    if tensor is None or tensor.datatype != "FP32" or len(tensor.shape) != 2:
        raise RequestError("The input features, FP32 [candidates, features], is missing.", field="features")
    try:
        features: FloatArray = np.ascontiguousarray(tensor.as_numpy(), dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise RequestError(f"The input features cannot be read: {error}.", field="features") from error
    return features


def _milliseconds(parameters: Any) -> float | None:
    """Returns how long the caller waits, milliseconds; None if the request does not set it."""
    allowed = _parameter(parameters, DEADLINE_PARAMETER)
    if allowed is None:
        return None
    if isinstance(allowed, str) or not allowed > 0:
        raise RequestError(
            f"The parameter {DEADLINE_PARAMETER} is {str(allowed)[:40]!r}; send milliseconds above 0.",
            field=DEADLINE_PARAMETER,
        )
    return float(allowed)


def _parameter(parameters: Any, name: str) -> str | int | float | None:
    """Returns a request parameter from the gRPC message or from JSON."""
    if not parameters or name not in parameters:
        return None
    value = parameters[name]
    if isinstance(value, pb.InferParameter):
        kind = value.WhichOneof("parameter_choice")
        value = None if kind is None else getattr(value, kind)
    return value if isinstance(value, str | int | float) else None


def _output(name: str, column: FloatArray) -> InferOutput:
    output = InferOutput(name, list(column.shape), "FP32")
    output.set_data_from_numpy(np.ascontiguousarray(column, dtype=np.float32), binary_data=True)
    return output


if __name__ == "__main__":
    main()
