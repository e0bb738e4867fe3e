"""The page shows figures on impressions and the calibration of each objective, where the log has them."""

from __future__ import annotations

import json
from pathlib import Path

from components.evaluation.reports.impressions import impression_sections
from components.evaluation.reports.page import evaluation_page

CLICK = {
    "ece": 0.0123,
    "ece_by_chance": 0.0045,
    "impressions": 3000,
    "positives": 250,
    "bins": [[0.01, 0.02, 1500], [0.1, 0.08, 1500]],
}


def test_calibration_is_a_picture_and_a_number(written: Path) -> None:
    content = json.loads((written / "evaluation.json").read_text())
    page = evaluation_page({**content, "impressions": {"auc": 0.71}, "calibration": {"<click>": CLICK}}, None)
    for words in ("0.71", "ECE 0.0123, by chance 0.0045", "predicted 10 %, rate 8 % of 1,500", "&lt;click&gt;"):
        assert words in page, words
    assert page.count("<circle") == 2


def test_without_impressions_there_is_no_section() -> None:
    assert impression_sections({}) == []
    assert impression_sections({"impressions": {}, "calibration": {}}) == []


CURVE = {
    "examination": [1.0, 0.61],
    "low": [1.0, 0.55],
    "high": [1.0, 0.67],
    "click_rates": [0.2, 0.1],
    "impressions": [900, 900],
    "clicks": [180, 90],
    "effective": [880.4, 870.6],
}
VALUE = {
    **{name: {"mean": 0.4, "low": 0.3, "high": 0.5} for name in ("logged", "snips", "doubly_robust")},
    "lead": {"mean": -0.02, "low": -0.05, "high": 0.01},
    "slates": 300,
    "impressions": 1800,
    "kept": 310,
    "effective": 288.6,
}


def test_the_position_curve_stands_next_to_click_rates() -> None:
    (section,) = impression_sections({"positions": CURVE})
    assert "position 2: 0.610 (0.550 to 0.670)" in section
    assert "0.500 of the first" in section
    assert section.count("<circle") == 4
    assert ">871<" in section


def test_the_value_of_the_order_has_intervals_and_an_effective_sample_size() -> None:
    (section,) = impression_sections({"policy_value": VALUE})
    for words in ("-0.0200 (-0.0500 to +0.0100)", "310 of 1,800 impressions", "as 289 of equal weight", "SNIPS"):
        assert words in section, words


def test_the_page_says_why_the_log_has_no_curve_and_no_value() -> None:
    reason = {"absent": "the log has no propensities"}
    for part in impression_sections({"positions": reason, "policy_value": reason}):
        assert "Not measured: the log has no propensities." in part
