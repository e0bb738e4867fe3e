"""What a report finds where no gate decides."""

from __future__ import annotations

import json
import re
from pathlib import Path

from components.evaluation.evaluate import EvaluationResult
from components.evaluation.reports.facts import finding, time_scales
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


def test_time_scales_say_what_was_measured_and_chosen(written: Path) -> None:
    scales = {
        "item_life": 84_045.0,
        "visit_length": None,
        "return_time": 3600.0 * 21,
        "item_step": 10_800.0,
        "user_step": 86_400.0,
        "popular_half_life": 5400.0,
        "ranker_horizon": 3 * 86_400.0,
        "item_windows": [3, 6],
    }
    rows = dict(time_scales(scales))
    assert (rows["life of an item"], rows["length of a visit"]) == ("23.3 h", "-")
    assert (rows["between snapshots of items"], rows["between snapshots of users"]) == ("3 h", "24 h")
    assert rows["windows of item counts"] == "3 h, 6 h, 1 day, 7 days, 30 days"
    assert dict(time_scales({**scales, "item_windows": []}))["windows of item counts"] == "1 day, 7 days, 30 days"
    content = json.loads((written / "evaluation.json").read_text())
    assert "between snapshots of items" in evaluation_page({**content, "time_scales": scales}, None)
