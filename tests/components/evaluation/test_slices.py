"""The parts of the comparison: who belongs to which, figures of the parts, and parts that are too small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.evaluation.evaluate import EvaluationResult
from components.evaluation.protocols.log import EventLog
from components.evaluation.protocols.protocol import make_tasks
from components.evaluation.reports.page import evaluation_page
from components.evaluation.reports.slices import slice_sections
from components.evaluation.slices import FEWEST_USERS, MOST_VALUES, Compared, compare_slices, countries_of, slices_of
from feature_repo.dataset.tables import PreparedTables
from feature_repo.storage.files import write_parquet
from tests.components.evaluation.logs import at, log


@pytest.fixture
def small() -> EventLog:
    """User u has u + 1 events before day 10, and takes item u % 3 afterwards."""
    earlier = [(user, 3 + number, 1.0 + number / 10, 1) for user in range(9) for number in range(user + 1)]
    return log([*earlier, *((user, user % 3, 11.0, 1) for user in range(9))])


def test_every_part_holds_the_right_queries_and_items(small: EventLog) -> None:
    task = make_tasks(small, at(10), at(20), "always", 2).test
    popularity = np.array([0, 1, 8, 7, *[0] * (len(small.item_ids) - 4)])
    categories = np.array(["tea", "", "wine", *["tea"] * (len(small.item_ids) - 3)], dtype=object)
    countries = np.array(["", *"aaabbbbb"], dtype=object)
    parts = {(part.group, part.name): part for part in slices_of(small, task, popularity, categories, countries)}
    users = {name: part.task.users.tolist() for name, part in parts.items()}
    assert users["history", "light"] == [0, 1, 2]
    assert users["history", "medium"] == [3, 4, 5]
    assert users["history", "heavy"] == [6, 7, 8]
    assert parts["history", "medium"].about == "4 to 6 earlier events"
    assert users["popularity", "head"] == [2, 5, 8]  # item 2 has half of the earlier users
    assert users["popularity", "tail"] == [0, 1, 3, 4, 6, 7]
    assert users["category", "tea"] == [0, 3, 6]
    assert users["category", "wine"] == [2, 5, 8]
    assert users["country", "a"] == [1, 2, 3]
    assert [name for group, name in users if group == "country"] == ["b", "a"]
    assert ("category", "") not in users


def test_equal_histories_are_one_part(small: EventLog) -> None:
    same = log([*((user, 5, 1.0, 1) for user in range(6)), *((user, 0, 11.0, 1) for user in range(6))])
    task = make_tasks(same, at(10), at(20), "always", 2).test
    parts = [part for part in slices_of(same, task, np.ones(6, dtype=np.int64)) if part.group == "history"]
    assert [(part.name, len(part.task)) for part in parts] == [("light", 6)]


def test_only_the_largest_values_are_compared() -> None:
    events = [(user, 20, 1.0, 1) for user in range(60)] + [(user, user % 12, 11.0, 1) for user in range(60)]
    many = log(events)
    task = make_tasks(many, at(10), at(20), "always", 2).test
    categories = np.array([f"c{row:02d}" for row in range(21)], dtype=object)
    parts = [
        part for part in slices_of(many, task, np.ones(21, dtype=np.int64), categories) if part.group == "category"
    ]
    assert len(parts) == MOST_VALUES


def test_a_part_repeats_the_figures_of_its_users(result: EvaluationResult, written: Path) -> None:
    content = json.loads((written / "evaluation.json").read_text())
    parts = {name: part for name, part in content["slices"].items() if "group" in part}
    history = [part for part in parts.values() if part["group"] == "history"]
    assert sum(part["users"] for part in history) == content["users"]
    against = history[0]["against"]
    for method in ("funnel", "retrieval", against):
        whole = sum(part["users"] * part["methods"][method]["ndcg@20"] for part in history) / content["users"]
        assert whole == pytest.approx(content["methods"][method]["ndcg@20"], abs=1e-9)
    for part in parts.values():
        assert part["users"] >= FEWEST_USERS
        lead = part["lead"]
        means = [part["methods"][method]["ndcg@20"] for method in ("funnel", against)]
        assert lead["mean"] == pytest.approx(means[0] - means[1], abs=1e-9)
        assert lead["low"] <= lead["mean"] <= lead["high"]
    names = {name: figures["ndcg@20"] for name, figures in content["methods"].items() if "absent" not in figures}
    assert against == max((name for name in names if name not in ("funnel", "retrieval")), key=lambda name: names[name])
    page = evaluation_page(content, None)
    assert "NDCG@20 by category" in page
    assert f"funnel less {against}" in page


def test_small_parts_are_left_out_and_named(small: EventLog) -> None:
    task = make_tasks(small, at(10), at(20), "always", 2).test
    lists = {name: np.zeros((len(task), 300), dtype=np.int32) for name in ("funnel", "popular")}
    popularity = np.ones(len(small.item_ids), dtype=np.int64)
    parts = compare_slices(slices_of(small, task, popularity), Compared(lists, "funnel", "popular"), task, small)
    assert parts["history: light"] == {
        "users": 3,
        "group": "history",
        "about": "at most 3 earlier events",
        "methods": {},
    }
    assert slice_sections(parts) == []
    shown = {**parts["history: light"], "users": 70, "methods": {"funnel": {"ndcg@20": 0.1}}, "against": "popular"}
    shown["lead"] = {"mean": -0.1, "low": -0.2, "high": -0.05, "unit": "days"}
    (section,) = slice_sections({"new_items": {"users": 3, "methods": {}}, **parts, "history: light": shown})
    assert "behind" in section
    assert f"fewer than {FEWEST_USERS} users are left out: medium (3), heavy (3)" in section


def test_countries_are_those_of_the_users_table(tmp_path: Path) -> None:
    users = pa.table({"user_id": ["a", "b", "b"], "country": [None, "Peru", "Chile"]})
    write_parquet(tmp_path / "users.parquet", users)
    found = countries_of(PreparedTables(tmp_path, {}), np.array(["a", "b", "new"], dtype=object))
    assert found is not None
    assert found.tolist() == ["", "Chile", ""]
    write_parquet(tmp_path / "users.parquet", users.slice(0, 1))
    assert countries_of(PreparedTables(tmp_path, {}), np.array(["a"], dtype=object)) is None
