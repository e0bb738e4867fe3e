"""What a report finds where no gate decides."""

from __future__ import annotations

import json
import re
from pathlib import Path

from components.evaluation.evaluate import EvaluationResult
from components.evaluation.reports.facts import finding
from components.evaluation.reports.page import evaluation_page
from components.evaluation.reports.text import markdown, text_table


def test_without_a_gate_reports_say_what_was_found_and_nothing_of_a_release(
    result: EvaluationResult, written: Path
) -> None:
    content = json.loads((written / "evaluation.json").read_text())
    told = finding(content)
    for words, name in re.findall(r"(above|below|not shown to differ from) ([a-z, ]+)", told):
        for method in name.split(", "):
            lead = content["leads"][method]
            sign = "above" if lead["low"] > 0 else "below" if lead["high"] < 0 else "not shown to differ from"
            assert sign == words
    assert all(method in told for method in content["leads"])
    table, summary, page = text_table(content, None), markdown(content, None), evaluation_page(content, None)
    assert table.splitlines()[-1] == told
    assert f"{content['leads']['popular']['mean']:+.4f}" in table
    for text in (table, summary, page):
        assert "release" not in text
