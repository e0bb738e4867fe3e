"""The remote scorer: one gRPC V2 call per request to the predictor, with raw tensors, over one permanent connection.

A batch whose features exceed `MAX_CALL` bytes is split into several calls. The scorer names the bundle of the batch and
rejects the answer of another bundle. The call is synchronous (it runs in the request's thread), does not retry, and
fails at once while the predictor is unreachable.
"""

from __future__ import annotations

import time
from typing import ClassVar

import grpc
import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from feature_repo.errors import PredictorError
from feature_repo.features.state import FloatArray
from inference.candidates.batch import Batch
from inference.candidates.query import CandidateSet
from inference.scorers.protocol import Scorer, Scores

MODEL = "ranker"
VERSION_PARAMETER = "bundle_version"
DEADLINE_PARAMETER = "deadline_ms"
PROBABILITY_PREFIX = "p_"
DEFAULT_TIMEOUT_SECONDS = 60.0  # for calls without a deadline
MAX_MESSAGE = 64 << 20
MAX_CALL = 16 << 20  # bytes of features in one call; a single request is always one call
_OPTIONS = [
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.lb_policy_name", "round_robin"),
]


class RemoteScorer(Scorer):
    """Scores with the predictor; thread-safe.

    Args:
        address: `host:port` of the predictor's gRPC server.
    """

    name: ClassVar[str] = "ranker"

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._stub = GRPCInferenceServiceStub(self._channel)

    def score(self, batch: Batch, candidates: CandidateSet, deadline: float | None = None) -> Scores:
        """Returns scores [n] and probabilities by objective [n].

        Raises:
            PredictorError: The predictor is unreachable or late, does not hold the bundle, or sends an invalid answer.
        """
        if len(candidates) == 0:
            return np.zeros(0, dtype=np.float32), {}
        if candidates.features is None:
            raise PredictorError("Candidates without features cannot be ranked: hydrate them first.")
        left = DEFAULT_TIMEOUT_SECONDS if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise PredictorError("No time was left to ask the predictor.")
        features = np.ascontiguousarray(candidates.features, dtype="<f4")
        step = max(1, MAX_CALL // max(1, features.itemsize * features.shape[1]))
        version = batch.bundle_version
        parts = [self._ask(features[at : at + step], version, left) for at in range(0, len(features), step)]
        if len(parts) == 1:
            return parts[0]
        names = parts[0][1].keys()
        return np.concatenate([score for score, _ in parts]), {
            name: np.concatenate([probabilities[name] for _, probabilities in parts]) for name in names
        }

    def _ask(self, features: FloatArray, bundle_version: str, seconds: float) -> Scores:
        try:
            answer = self._stub.ModelInfer(_request(features, bundle_version, seconds), timeout=seconds)
        except grpc.RpcError as error:
            raise PredictorError(f"The predictor {self.address} failed to rank: {_said(error)}.") from error
        return _scores(answer, len(features), bundle_version)

    def holds(self, bundle_version: str, timeout: float = 1.0) -> bool:
        """Returns whether the predictor is reachable and holds a bundle."""
        try:
            answer = self._stub.ModelReady(pb.ModelReadyRequest(name=MODEL, version=bundle_version), timeout=timeout)
        except grpc.RpcError:
            return False
        return bool(answer.ready)

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()


def _request(features: FloatArray, bundle_version: str, seconds: float) -> pb.ModelInferRequest:
    return pb.ModelInferRequest(
        model_name=MODEL,
        parameters={
            VERSION_PARAMETER: pb.InferParameter(string_param=bundle_version),
            DEADLINE_PARAMETER: pb.InferParameter(int64_param=max(1, int(seconds * 1000))),
        },
        inputs=[
            pb.ModelInferRequest.InferInputTensor(name="features", datatype="FP32", shape=list(features.shape)),
        ],
        raw_input_contents=[features.tobytes()],
    )


def _scores(answer: pb.ModelInferResponse, num_candidates: int, bundle_version: str) -> Scores:
    echoed = answer.parameters[VERSION_PARAMETER].string_param
    if echoed != bundle_version:
        raise PredictorError(f"The predictor answered for bundle {echoed!r} instead of {bundle_version!r}.")
    if len(answer.raw_output_contents) != len(answer.outputs):
        raise PredictorError("The predictor did not answer with raw tensors.")
    columns: dict[str, FloatArray] = {}
    for tensor, content in zip(answer.outputs, answer.raw_output_contents, strict=True):
        if tensor.datatype == "FP32" and len(content) == 4 * num_candidates:
            columns[tensor.name] = np.frombuffer(content, dtype="<f4")
    if "score" not in columns:
        raise PredictorError(f"The predictor did not return one score for each of {num_candidates} candidates.")
    score = columns.pop("score")
    prefix = len(PROBABILITY_PREFIX)
    return score, {name[prefix:]: column for name, column in columns.items() if name.startswith(PROBABILITY_PREFIX)}


def _said(error: grpc.RpcError) -> str:
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    name = code().name if callable(code) else type(error).__name__
    return f"{name} {details() if callable(details) else ''}".strip()
