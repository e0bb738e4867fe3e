"""The gallery names the right users, and its places and hits agree with the lists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.evaluation.baselines.method import Listed
from components.evaluation.evaluate import EvaluationResult, evaluate
from components.evaluation.funnel import DEPTH, Answers
from components.evaluation.protocols.log import EventLog
from components.evaluation.protocols.protocol import make_tasks
from components.evaluation.reports.gallery import MOST_LISTED, gallery
from components.evaluation.reports.gallery_page import gallery_sections
from feature_repo.dataset.tables import TIMESTAMP, PreparedTables
from feature_repo.storage.files import write_json, write_parquet
from tests.components.evaluation.logs import at, lists, log

SOURCES = ("popular", "similar", "two_tower")
# Users 0 to 3 know item 9 and take item 0 in the test span; user 1 also takes item 8, which no list holds.
EVENTS = [
    *((user, 9, 1.0 + user, 1) for user in range(4)),
    (0, 7, 5.5, 0),
    *((user, 0, 11.0, 2) for user in range(4)),
    (1, 8, 12.0, 1),
]
# Place of item 0: the funnel is worse for user 0 by far, for user 1 a bit, equal for user 2, better for user 3.
FUNNEL = {0: [1, 2, 3, 4, 0], 1: [1, 0, 2, 3], 2: [0, 1, 2], 3: [0, 1]}
BASELINE = {0: [0, 1, 2], 1: [0, 1], 2: [0, 1], 3: [1, 2, 0]}


@pytest.fixture
def events() -> EventLog:
    return log(EVENTS)


@pytest.fixture
def result(events: EventLog) -> EvaluationResult:
    methods = {"popular": lists({user: [3] for user in range(4)}), "itemknn": lists(BASELINE), "funnel": lists(FUNNEL)}
    tasks = make_tasks(events, at(10), at(20), "always", 2)
    return evaluate(events, tasks, methods, known=events.before(at(10)))


@pytest.fixture
def answers() -> Answers:
    final = np.full((4, DEPTH), -1, dtype=np.int32)
    bits = np.zeros((4, DEPTH), dtype=np.uint32)
    for user, rows in FUNNEL.items():
        final[user, : len(rows)] = rows
        bits[user, : len(rows)] = [0b110 if row == 0 else 0b001 for row in rows]
    users = np.arange(4, dtype=np.int32)
    return Answers(Listed(users, final), Listed(users, final), bits)


@pytest.fixture
def tables(events: EventLog, tmp_path: Path) -> PreparedTables:
    """Prepared tables with titles of some items, and without the type of user 0's last event."""
    kept = [event for event in EVENTS if event[2] != 5.5]
    interactions = {
        "user_id": [f"u{user:04d}" for user, *_ in kept],
        "item_id": [f"i{item:04d}" for _, item, *_ in kept],
        "timestamp": pa.array([at(day) for *_, day, _ in kept], TIMESTAMP),
        "event_type": ["view" if grade == 1 else "purchase" for *_, grade in kept],
    }
    items = {"item_id": ["i0000", "i0009", "i0008"], "title": ["Blue lamp", "x" * 100, None]}
    write_parquet(tmp_path / "interactions.parquet", pa.table(interactions))
    write_parquet(tmp_path / "items.parquet", pa.table(items))
    objectives = {"click": ["view"], "convert": ["purchase"]}
    write_json(tmp_path / "dataset.json", {"config": {"name": "shop", "objectives": objectives}})
    return PreparedTables.open(tmp_path)


@pytest.fixture
def content(events: EventLog, result: EvaluationResult, answers: Answers, tables: PreparedTables) -> dict[str, Any]:
    return gallery(result, events, tables, answers, SOURCES)


def test_the_greatest_losses_come_first_and_equal_users_are_left_out(content: Mapping[str, Any]) -> None:
    assert content["against"] == "itemknn"
    assert [entry["user_id"] for entry in content["losses"]] == ["u0000", "u0001"]
    assert [entry["user_id"] for entry in content["wins"]] == ["u0003"]
    assert content["losses"][0]["ndcg@20"] == {"funnel": pytest.approx(1 / np.log2(6)), "itemknn": 1.0}


def test_an_entry_holds_history_places_sources_and_hits(content: Mapping[str, Any]) -> None:
    first, second = content["losses"]
    assert first["num_events"] == 2
    assert [(event["item_id"], event["event"]) for event in first["history"]] == [("i0007", "other"), ("i0009", "view")]
    assert first["history"][0]["age"] == pytest.approx(4.5 * 86_400)
    assert first["history"][1]["title"] == "x" * 60 + "…"
    taken = {"item_id": "i0000", "title": "Blue lamp", "place": 5, "baseline_place": 1}
    assert first["taken"] == [{**taken, "sources": ["similar", "two_tower"]}]
    assert [(item["item_id"], item["hit"]) for item in first["lists"]["itemknn"]] == [
        ("i0000", True),
        ("i0001", False),
        ("i0002", False),
    ]
    # An item that no source found comes last, and its title is its id.
    assert second["taken"][1] == {
        "item_id": "i0008",
        "title": "i0008",
        "place": None,
        "baseline_place": None,
        "sources": [],
    }
    assert all(len(rows) <= MOST_LISTED for entry in content["losses"] for rows in entry["lists"].values())


def test_the_page_shows_every_user_with_the_items_that_no_source_found(content: dict[str, Any]) -> None:
    content["losses"][0]["taken"][0]["title"] = "<b>lamp"
    losses, wins = gallery_sections(content)
    assert losses.count("<article") == 2
    assert losses.count("not among the candidates") == 1
    assert "Users where the funnel loses most to itemknn" in losses
    assert "similar, two_tower" in losses
    assert "&lt;b&gt;lamp" in losses
    assert "<b>lamp" not in losses
    assert "u0003" in wins
    assert gallery_sections({}) == []
    assert gallery_sections({"against": "popular", "losses": [], "wins": []}) == []


def test_without_a_baseline_there_is_no_gallery(events: EventLog, answers: Answers, tables: PreparedTables) -> None:
    tasks = make_tasks(events, at(10), at(20), "always", 2)
    alone = evaluate(events, tasks, {"funnel": lists(FUNNEL)}, known=events.before(at(10)))
    assert gallery(alone, events, tables, answers, SOURCES) == {}
    assert alone.compared == {}
