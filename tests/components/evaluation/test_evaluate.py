"""The written evaluation: contract 2's shape, and figures that the lists alone give again."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.evaluation.baselines.method import Training
from components.evaluation.evaluate import METHODS, EvaluationResult, evaluate, write_evaluation
from components.evaluation.gate.gate import decide
from components.evaluation.protocols.log import EventLog
from components.evaluation.protocols.protocol import make_tasks
from components.evaluation.reports.page import evaluation_page
from components.evaluation.reports.text import markdown, text_table
from components.evaluation.search import Absent
from tests.components.evaluation.logs import ABOUT, at

FIGURES = {"hr@10", "ndcg@10", "ndcg@20", "map@10", "recall@20", "recall@100", "recall@300", "mrr@10", "coverage@10"}


def test_the_file_has_the_shape_of_the_contract(written: Path, events: EventLog) -> None:
    content = json.loads((written / "evaluation.json").read_text())
    assert {"dataset", "protocol", "recipe", "users", "items", "seconds", "methods", "intervals", "slices"} <= set(
        content
    )
    assert tuple(content["methods"]) == METHODS
    assert content["methods"]["ease"] == {"absent": "too large"}
    for name in set(METHODS) - {"ease"}:
        assert set(content["methods"][name]) == FIGURES
        low, high = content["intervals"][name]["ndcg@20"]
        assert low <= content["methods"][name]["ndcg@20"] <= high
    assert {"new_items", "cold_users", "cold_items"} <= set(content["slices"])
    assert content["slices"]["cold_users"]["users"] == 20
    new = set(events.rows) - set(events.before(at(21)).rows)
    assert content["slices"]["cold_items"]["users"] == len(
        set(events.users[np.isin(events.rows, list(new))]) - set(range(250, 270))
    )
    assert content["slices"]["cold_items"]["methods"]["popular"]["hr@10"] == 0
    assert content["items"] == 151
    assert set(content["details"]["funnel"]) == {"novelty@10", "gini@10", "warm_items", "categories"}


def test_figures_are_recomputed_from_the_lists_alone(written: Path, events: EventLog) -> None:
    """An independent reading of contract 2 in plain Python: relevant items from the events, lists from the file."""
    content = json.loads((written / "evaluation.json").read_text())
    relevant: dict[str, set[str]] = defaultdict(set)
    known, converted = set(), set()
    for user, row, time, grade in zip(events.users, events.rows, events.times, events.grades, strict=True):
        name, item = events.user_ids[user], events.item_ids[row]
        if time < at(21):
            known.add(name)
            if grade == 2:
                converted.add((name, item))
        elif grade > 0:
            relevant[name].add(item)
    relevant = {user: {i for i in items if (user, i) not in converted} for user, items in relevant.items()}
    relevant = {user: items for user, items in relevant.items() if items and user in known}
    assert content["users"] == len(relevant)
    lists: dict[str, dict[str, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
    for row in pq.read_table(written / "evaluation" / "lists.parquet").to_pylist():
        lists[row["method"]][row["user_id"]][row["rank"]] = row["item_id"]
    assert set(lists) == set(METHODS) - {"ease"}
    for method, by_user in lists.items():
        values = defaultdict(list)
        shown = set()
        for user, items in relevant.items():
            ranked = [by_user[user][rank] for rank in sorted(by_user[user])]
            assert sorted(by_user[user]) == list(range(len(ranked)))
            assert len(ranked) == 100
            assert not {(user, item) for item in ranked} & converted
            shown |= set(ranked[:10])
            gains = [item in items for item in ranked]
            for k in (10, 20):
                ideal = sum(1 / np.log2(place + 2) for place in range(min(k, len(items))))
                values[f"ndcg@{k}"].append(sum(g / np.log2(p + 2) for p, g in enumerate(gains[:k])) / ideal)
            for k in (20, 100):
                values[f"recall@{k}"].append(sum(gains[:k]) / len(items))
            values["hr@10"].append(any(gains[:10]))
            values["mrr@10"].append(next((1 / (p + 1) for p, g in enumerate(gains[:10]) if g), 0))
        for name, column in values.items():
            assert content["methods"][method][name] == pytest.approx(np.mean(column), abs=1e-9), (method, name)
        assert content["methods"][method]["coverage@10"] == pytest.approx(len(shown) / 151, abs=1e-9)


def test_own_items_are_in_no_list_of_the_slice_of_new_items(result: EvaluationResult, events: EventLog) -> None:
    task = result.tasks.new_items
    assert task is not None
    before = events.before(at(21)).positives
    own = set(zip(before.users.tolist(), before.rows.tolist(), strict=True))
    owners = task.users[task.relevant.owners]
    assert not own & set(zip(owners.tolist(), task.relevant.rows.tolist(), strict=True))
    assert result.slices["new_items"][1]["own"] == result.slices["new_items"][1]["popular"]


def test_nobody_to_ask_is_no_error(events: EventLog, tmp_path: Path) -> None:
    early = events.before(at(5))
    tasks = make_tasks(early, at(5), at(6), "never", 2)
    outcome = evaluate(
        early, tasks, {"popular": Absent("nothing"), "funnel": _popular(early)}, known=early.before(at(5))
    )
    content = write_evaluation(tmp_path, outcome, ABOUT)
    decision = decide(outcome.scores)
    assert content["users"] == 0
    assert decision.evidence == "weak"
    assert pq.read_table(tmp_path / "evaluation" / "lists.parquet").num_rows == 0
    for told in (text_table(content, decision), markdown(content, decision), evaluation_page(content, decision)):
        assert "weak" in told


def _popular(events: EventLog):
    from components.evaluation.baselines.popular import Popular

    made = Training(events, events, at(5), repeats_some=False)
    return Popular(made).fit(Popular.start)
