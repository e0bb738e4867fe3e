"""Text and summary agree with the page in methods, intervals, decision and slates."""

from __future__ import annotations

import json
import re
from pathlib import Path

from components.evaluation.evaluate import EvaluationResult, write_evaluation
from components.evaluation.gate.gate import decide
from components.evaluation.reports.page import evaluation_page
from components.evaluation.reports.text import markdown, text_table
from tests.components.evaluation.logs import ABOUT


def test_reports_tell_what_came_of_slates(result: EvaluationResult, tmp_path: Path) -> None:
    decision = decide(result.scores)
    for share, told in ((0.834, "83% of the relevant items were taken from slates of earlier releases"), (0.0, "")):
        content = write_evaluation(tmp_path, result, {**ABOUT, "from_slates": share})
        for text in (text_table(content, decision), markdown(content, decision), evaluation_page(content, decision)):
            assert ("taken from slates" in text) == bool(told)
            assert told in text


def test_reports_tell_methods_intervals_and_decision(result: EvaluationResult, written: Path) -> None:
    content = json.loads((written / "evaluation.json").read_text())
    decision = decide(result.scores)
    table, summary, page = (
        text_table(content, decision),
        markdown(content, decision),
        evaluation_page(content, decision),
    )
    for told in (table, summary, page):
        assert f"{content['methods']['funnel']['ndcg@20']:.4f}" in told
        assert "too large" in told
        for number in re.findall(r"[-+]?0\.\d{4}", decision.sentence):
            assert number in told
    lines = [line for line in table.splitlines() if line.startswith("  ") and "absent" not in line]
    assert len({len(line) for line in lines}) == 1
    order = [line.split()[0] for line in lines[1:]]
    assert order == sorted(order, key=lambda name: -content["methods"][name]["ndcg@20"])
