"""V2 bodies in and out of the transformer, without a socket."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from kserve import InferRequest

from feature_repo.errors import RequestError
from inference.api import tensors

MODEL = "recommender"


def request(*given: dict) -> InferRequest:
    return tensors.decoded(json.dumps({"inputs": given}).encode(), None, MODEL)


def tensor(data: list, name: str = "user_id", datatype: str = "BYTES", shape: list[int] | None = None) -> dict:
    return {"name": name, "datatype": datatype, "shape": [len(data)] if shape is None else shape, "data": data}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (tensor(["u1"], shape=[]), "user_id"),
        (tensor(["u1"], shape=[-1]), "user_id"),
        (tensor(["u1"], shape=[2]), "user_id"),
        (tensor([1.5], "count", "INT32"), "count"),
        (tensor(["5"], "count", "INT32"), "count"),
        (tensor([2**40], "count", "INT32"), "count"),
    ],
)
def test_tensors_that_are_not_what_they_say(given, field):
    with pytest.raises(RequestError) as caught:
        tensors.values(request(given).inputs[0])
    assert caught.value.field == field


@pytest.mark.parametrize("change", [0, 1, 54, -1])
def test_binary_bodies_are_as_long_as_they_say(change):
    raw = b"\x02\x00\x00\x00u1"
    described = {**tensor([""]), "parameters": {"binary_data_size": len(raw) + change}}
    del described["data"]
    head = json.dumps({"inputs": [described]}).encode()
    if change == 0:
        assert tensors.values(tensors.decoded(head + raw, str(len(head)), MODEL).inputs[0]) == ["u1"]
        return
    with pytest.raises(RequestError) as caught:
        tensors.decoded(head + raw, str(len(head)), MODEL)
    assert caught.value.status == 400


@pytest.mark.parametrize("body", [b'{"id": "\\ud800", "inputs": []}', b'{"id": NaN}', b"", b"[]", b'{"a": 1'])
def test_bodies_no_answer_could_echo_are_refused(body):
    with pytest.raises(RequestError) as caught:
        tensors.decoded(body, None, MODEL)
    assert caught.value.status == 400


def test_scores_that_are_no_numbers_are_padding():
    scores = np.array([1.0, -np.inf], dtype=np.float32)
    slate: Any = SimpleNamespace(query=SimpleNamespace(count=3), scores=scores, bundle_version="v")
    shown: Any = {"items": [{"item_id": "a"}, {"item_id": "b"}], "request_id": "r"}
    asked = request(tensor(["u1"]))
    body = json.loads(bytes(tensors.encoded(tensors.tensors(asked, [slate], [shown], MODEL)).body))
    outputs = {output["name"]: output["data"] for output in body["outputs"]}
    assert outputs == {"item_id": ["a", "b", ""], "score": [1.0, None, None], "request_id": ["r"]}
