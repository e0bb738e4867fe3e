"""One rule for ids, context values and numbers: what ingest keeps, the API takes, and the other way round."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import ibis
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from components.validation.rows.rules import flagged, table_rules
from feature_repo.dataset.tables import table_schema
from feature_repo.dataset.values import CONTEXT_LENGTH, ID_LENGTH, number_bounds, text_lengths
from inference.api import cursor
from inference.api.events import Event
from inference.api.requests import RecommendationRequest
from inference.log.usability import usable
from tests.kit.prepared_tables import config, event

ODD = [
    " ",
    " lead",
    "trail ",
    "007",
    "null",
    "NaN",
    "a|b",
    "a/b/../c",
    "%2F%00",
    'it\'s "quoted"',
    "\u2028",
    "\u202eRTL",
    "é",
    "e\u0301",
    "\U0001f9ca" * 256,
    "x" * 256,
    "x" * 257,
    "line\nbreak",
    "tab\tid",
    "nul\0byte",
    "\x7f",
    "\x85",
    "\x9f",
    "\xa0",
]
TEXTS = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.text(st.characters(categories=["Cc", "Zl", "Zp", "Cf", "So"]), min_size=1, max_size=4),
    st.integers(60, 260).map(lambda length: "é" * length),
)
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [0.0, -0.0, 1e12, math.nextafter(1e12, math.inf), 1e17, -1e9, 1e300, 1e38, 1e39, 3.4028234663852886e38]
    ),
)
NUM = 40


def _kept(column: str, values: Sequence[object]) -> list[bool]:
    """Whether ingest's row rules accept each value of a column of interactions."""
    schema = table_schema("interactions", config())
    rows = [{"row": n, "row_hash": n, "grade": 1, **event(n), column: value} for n, value in enumerate(values)]
    table = ibis.memtable(pa.Table.from_pylist(rows, schema=schema))
    rules = [rule for rule in table_rules("interactions", table, config()) if rule.column == column]
    found = flagged(table, rules).order_by("row").to_pyarrow().to_pylist()
    return [not any(row[f"flag_{rule.reason}"] for rule in rules) for row in found]


def _posted(column: str, value: object) -> bool:
    given = {"event_id": "e", "user_id": "u", "item_id": "i", "event_type": "click", column: value}
    try:
        Event.model_validate(given)
    except ValidationError:
        return False
    return True


@settings(max_examples=10, deadline=None)
@given(st.lists(TEXTS, min_size=NUM, max_size=NUM))
@example(ODD)
def test_what_ingest_keeps_can_be_posted_requested_and_paged(texts: list[str]) -> None:
    assert set(text_lengths("interactions")) <= set(Event.model_fields)
    for column in text_lengths("interactions"):
        assert _kept(column, texts) == [_posted(column, text) for text in texts], column
    for text, kept in zip(texts, _kept("item_id", texts), strict=True):
        assert _asked(text) is kept
        if kept:
            page = cursor.encode([text, "i2"], text, "similar", text)
            assert page is not None
            assert cursor.decode(page, text, "similar", text) == [text, "i2"]


def _asked(text: str) -> bool:
    try:
        TypeAdapter(RecommendationRequest).validate_python({"user_id": text, "item_id": text, "last_item_id": text})
    except ValidationError:
        return False
    return True


@settings(max_examples=10, deadline=None)
@given(st.lists(NUMBERS, min_size=NUM, max_size=NUM))
def test_a_number_that_ingest_keeps_can_be_posted(numbers: list[float]) -> None:
    for column in number_bounds("interactions"):
        assert _kept(column, numbers) == [_posted(column, number) for number in numbers], column


@settings(max_examples=20, deadline=None)
@given(st.lists(TEXTS, min_size=NUM, max_size=NUM))
def test_readers_of_the_log_keep_the_same_ids(texts: list[str]) -> None:
    table = pa.table({"user_id": texts, "device": texts})
    left_out: Counter[str] = Counter()
    rows = usable(table, "interactions", left_out).to_pylist()
    assert [row["user_id"] for row in rows] == [text for text in texts if _posted("user_id", text)]
    assert all((row["device"] is not None) is _posted("device", row["user_id"]) for row in rows)
    assert sum(left_out.values()) == len(texts) - len(rows)


def test_a_page_of_long_ids_is_read_back() -> None:
    """The server accepts each cursor that it sends, also for ids that take four bytes a character."""
    shown = ["\U0001f9ca" * (ID_LENGTH - 4) + f"{number:04}" for number in range(cursor.MAX_ITEMS - 1)]
    page = cursor.encode(shown, "u", "home", None)
    assert page is not None
    assert cursor.decode(page, "u", "home", None) == shown


def test_lengths_count_characters() -> None:
    assert _kept("device", ["é" * CONTEXT_LENGTH, "é" * (CONTEXT_LENGTH + 1)]) == [True, False]
