"""What a posted event may hold, and how it lies in the log."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from feature_repo.errors import RequestError
from inference.api.events import MAX_EVENTS, checked
from inference.log.interactions import events_table
from inference.log.layout import INTERACTIONS_SCHEMA

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
EVENT = {"event_id": "e1", "user_id": "u1", "item_id": "i1", "event_type": "click"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-05-01T10:00:00Z", datetime(2026, 5, 1, 10, tzinfo=UTC)),
        ("2026-05-01T10:00:00.123456+02:00", datetime(2026, 5, 1, 8, 0, 0, 123456, tzinfo=UTC)),
        ("2026-05-02T12:00:00Z", datetime(2026, 5, 2, 12, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        (None, datetime(2026, 5, 1, 12, tzinfo=UTC)),
    ],
)
def test_times(given, expected):
    (event,) = checked({**EVENT, "timestamp": given}, NOW, "wall")
    table = events_table([event.model_dump(exclude_none=True)])
    assert table.schema == INTERACTIONS_SCHEMA
    assert table["timestamp"][0].as_py() == expected


@pytest.mark.parametrize("ahead", ["2026-05-02T12:00:01Z", "9999-12-31T23:59:59-23:00"])
def test_an_event_of_the_future_names_the_clock(ahead):
    with pytest.raises(RequestError, match=r"KUBEREC_CLOCK=log.*2026-05-01T12:00:00Z") as caught:
        checked([EVENT, {**EVENT, "timestamp": ahead}], NOW, "log")
    assert caught.value.field == "1.timestamp"
    assert caught.value.status == 422
    with pytest.raises(RequestError) as caught:
        checked({**EVENT, "timestamp": ahead}, NOW, "log")
    assert caught.value.field == "timestamp"


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": None},
        {"event_id": ""},
        {"user_id": "x" * 257},
        {"item_id": "a\x00b"},
        {"event_type": "x" * 65},
        {"event_type": 7},
        {"timestamp": 1_777_000_000},
        {"timestamp": "2026-05-01T10:00:00"},
        {"timestamp": "2026-05-01"},
        {"timestamp": "now"},
        {"timestamp": "1969-12-31T23:59:59Z"},
        {"timestamp": True},
        {"price": -1},
        {"price": "3"},
        {"value": True},
        {"quantity": [1]},
        {"sesion_id": "s"},
        {"request_id": {}},
    ],
)
def test_what_is_refused(changes):
    (field,) = changes
    with pytest.raises(ValidationError) as caught:
        checked([EVENT, {**EVENT, **changes}], NOW, "wall")
    assert caught.value.errors()[0]["loc"] == (1, field)
    with pytest.raises(ValidationError):
        checked({**EVENT, **changes}, NOW, "wall")


@pytest.mark.parametrize("missing", EVENT)
def test_what_is_required(missing):
    with pytest.raises(ValidationError):
        checked({name: value for name, value in EVENT.items() if name != missing}, NOW, "wall")


@pytest.mark.parametrize("content", [[], [EVENT] * (MAX_EVENTS + 1), [[EVENT]], ["e1"], [None], {}])
def test_what_is_no_list_of_events(content):
    with pytest.raises(ValidationError):
        checked(content, NOW, "wall")


def test_all_fields_come_into_the_log():
    fields = {
        **EVENT, "user_id": 7, "timestamp": "2026-05-01T10:00:00Z", "value": 2, "price": 0, "quantity": -1.5,
        "session_id": "s", "request_id": "r", "device": "phone", "country": "DE", "surface": "home",
    }  # fmt: skip
    (event,) = checked([fields], NOW, "wall")
    (row,) = events_table([event.model_dump(exclude_none=True)]).to_pylist()
    assert row == {**fields, "user_id": "7", "timestamp": datetime(2026, 5, 1, 10, tzinfo=UTC)}
    assert events_table([event.model_dump(), {**event.model_dump(), "item_id": "other"}]).num_rows == 1
