"""Bad fields of a request are named and explained; tensors become requests."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from feature_repo.errors import RequestError
from inference.api import problems
from inference.api.requests import Instances, RecommendationRequest, from_tensors


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "x" * 257}, "user_id"),
        ({"user_id": "a\0b"}, "user_id"),
        ({"user_id": "u1", "count": 0}, "count"),
        ({"user_id": "u1", "count": 101}, "count"),
        ({"user_id": "u1", "count": "many"}, "count"),
        ({"user_id": "u1", "surface": "cellar"}, "surface"),
        ({"user_id": "u1", "surface": "similar"}, "item_id"),
        ({"user_id": "u1", "country": "x" * 65}, "country"),
        ({"user_id": "u1", "session_length": -1}, "session_length"),
        ({"user_id": "u1", "colour": "red"}, "colour"),
        ({"user_id": None}, "user_id"),
        ({"user_id": ["u1"]}, "user_id"),
    ],
)
def test_bad_fields_are_named(fields, field):
    with pytest.raises(ValidationError) as caught:
        RecommendationRequest.model_validate(fields)
    assert problems.InvalidFields(caught.value.errors()).field == field
    with pytest.raises(ValidationError) as caught:
        Instances.model_validate({"instances": [{"user_id": "fine"}, fields]})
    assert problems.InvalidFields(caught.value.errors()).field == f"instances.1.{field}"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"user_id": ""}, "user_id: String should have at least 1 character."),
        ({"user_id": "a\0b"}, "user_id: It contains a control character; remove it."),
        (
            {"user_id": "u1", "surface": "similar"},
            "item_id: The surface similar needs a seed item; send item_id.",
        ),
    ],
)
def test_bad_fields_are_explained_in_words(fields, words):
    with pytest.raises(ValidationError) as caught:
        RecommendationRequest.model_validate(fields)
    assert str(problems.InvalidFields(caught.value.errors())) == words


def test_integer_ids_are_text():
    assert RecommendationRequest.model_validate({"user_id": 5}).user_id == "5"


def test_tensors_become_requests():
    asked = from_tensors({"user_id": ["u1", "u2"], "count": [5], "surface": ["home", "similar"], "item_id": ["", "i1"]})
    assert [(one.user_id, one.count, one.surface, one.item_id) for one in asked] == [
        ("u1", 5, "home", None),
        ("u2", 5, "similar", "i1"),
    ]
    wrong: list[tuple[dict[str, list[Any]], str]] = [
        ({}, "user_id"),
        ({"user_id": ["u"] * 2000}, "user_id"),
        ({"user_id": ["u1", "u2"], "surface": ["home"] * 3}, "surface"),
        ({"user_id": ["u1", "u2"], "count": [1, 2]}, "count"),
        ({"user_id": ["u1"], "colour": ["red"]}, "colour"),
        ({"user_id": ["u1"], "count": [0]}, "count"),
        ({"user_id": ["u1", ""]}, "user_id"),
        ({"user_id": ["u1"], "surface": ["similar"]}, "item_id"),
    ]
    for tensors, field in wrong:
        with pytest.raises(RequestError) as caught:
            from_tensors(tensors)
        assert caught.value.field == field
