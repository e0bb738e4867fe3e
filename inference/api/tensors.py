"""The bodies of V1 and V2 calls: JSON and the tensors of the Open Inference Protocol, decoded and encoded.

KServe's own decoding reports errors differently for each protocol and content type. Here every malformed body raises a
`RequestError` that names the error.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastapi import Response
from kserve import InferOutput, InferRequest, InferResponse
from kserve.errors import InferenceError, InvalidInput
from kserve.protocol.rest.v2_datamodels import InferenceRequest
from pydantic import ValidationError

from feature_repo.errors import RequestError
from inference.api import problems
from inference.api.payload import parsed_json
from inference.candidates.query import Slate

BINARY_HEADER = "inference-header-content-length"
_UNREADABLE = (
    InvalidInput, InferenceError, ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error,
)  # fmt: skip


def parsed(content: bytes) -> dict[str, Any]:
    """Parses a JSON object, see `payload.parsed_json`."""
    parsed = parsed_json(content)
    if not isinstance(parsed, dict):
        raise RequestError("The body is not a JSON object.", status=400)
    return parsed


def decoded(content: bytes, json_length: str | None, model: str) -> InferRequest:
    """Decodes a V2 request from JSON, or from JSON and binary tensors if a header gives the length of the JSON."""
    try:
        if json_length is None:
            return InferRequest.from_inference_request(InferenceRequest.model_validate(parsed(content)), model)
        length = int(json_length)
        inputs = parsed(content[: max(0, length)])["inputs"]
        sizes = [(tensor.get("parameters") or {}).get("binary_data_size", 0) for tensor in inputs]
        if length + sum(sizes) != len(content):  # KServe would accept a wrong length
            raise ValueError(f"JSON of {length} bytes and tensors of {sizes} are not the {len(content)} bytes sent")
        return InferRequest.from_bytes(content, length, model)
    except ValidationError as error:
        raise problems.InvalidFields(error.errors()) from error
    except _UNREADABLE as error:
        raise RequestError(f"The body is not a V2 inference request: {error}.", status=400) from error


def values(tensor: Any) -> list[Any]:
    """Returns the flat values of an input tensor; BYTES become text."""
    expected = "INT32" if tensor.name == "count" else "BYTES"
    if tensor.datatype not in (expected, "INT64" if expected == "INT32" else expected):
        raise RequestError(
            f"The input {tensor.name[:64]} is {tensor.datatype[:16]}, not {expected}.", field=tensor.name
        )
    try:
        if len(tensor.shape) == 0 or min(tensor.shape) < 0:
            raise ValueError(f"its shape {tensor.shape} is not [n]")
        if expected == "INT32" and not all(isinstance(value, int) for value in tensor.data or ()):
            raise ValueError("it holds values that are not integers")
        flat = tensor.as_numpy().reshape(-1).tolist()
        return [value.decode() if isinstance(value, bytes) else value for value in flat]
    except (*_UNREADABLE, OverflowError) as error:
        raise RequestError(f"The input {tensor.name[:64]} cannot be read: {error}.", field=tensor.name) from error


def tensors(
    asked: InferRequest, slates: Sequence[Slate], bodies: Sequence[Mapping[str, Any]], model: str
) -> InferResponse:
    """Returns slates as tensors; short feeds are padded with "" and NaN.

    Args:
        asked: The V2 request.
        slates: The slates that answer the request, at least one.
        bodies: The JSON body of each slate.
        model: Name of the model.
    """
    width = max(slate.query.count for slate in slates)
    items = np.full((len(slates), width), "", dtype=object)
    scores = np.full((len(slates), width), np.nan, dtype=np.float32)
    for place, (slate, body) in enumerate(zip(slates, bodies, strict=True)):
        shown = body["items"]
        items[place, : len(shown)] = [item["item_id"] for item in shown]
        scores[place, : len(shown)] = slate.scores
    scores[np.isinf(scores)] = np.nan  # a candidate without a finite score
    ids = np.array([body["request_id"] for body in bodies], dtype=object)
    outputs = []
    for name, kind, values in (("item_id", "BYTES", items), ("score", "FP32", scores), ("request_id", "BYTES", ids)):
        output = InferOutput(name, list(values.shape), kind)
        output.data = values
        outputs.append(output)
    return InferResponse(
        response_id=asked.id or str(ids[0]),
        model_name=model,
        model_version=slates[0].bundle_version,
        infer_outputs=outputs,
        use_binary_outputs=asked.use_binary_outputs,
        requested_outputs=asked.request_outputs,
    )


def encoded(answer: InferResponse) -> Response:
    """Encodes the response as JSON, with binary tensors if the request asks for them.

    Raises:
        RequestError: The request asks for an unknown output.
    """
    try:
        content, json_length = answer.to_rest()
    except InvalidInput as error:
        raise RequestError(str(error), field="outputs") from error
    if isinstance(content, bytes):
        headers = {BINARY_HEADER: str(json_length)}
        return Response(content, media_type="application/octet-stream", headers=headers)
    for output in content["outputs"]:
        if output["datatype"] == "FP32":  # JSON has no NaN; it is sent as null
            output["data"] = [None if value != value else value for value in output["data"]]
    return Response(to_json(content), media_type="application/json")


def to_json(content: Any) -> bytes:
    """Compact JSON without NaN."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
