"""The page says what the sources find, how the towers learned, and what the trees read."""

from __future__ import annotations

import json
from pathlib import Path

from components.evaluation.reports.models import model_sections
from components.evaluation.reports.page import evaluation_page

SOURCES = {
    "popular": {"quota": 100, "recall": 0.26, "margin": 0.077, "exclusive_hits": 31, "milliseconds": 0.05},
    "similar": {"quota": 0, "recall": 0.2, "margin": 0.001, "exclusive_hits": 1, "milliseconds": 0.5},
}
CURVE = [[1, 5.07, 0.21], [2, 4.52, 0.24], [3, 4.4, None]]


def test_the_page_shows_the_parts_that_are_known(written: Path) -> None:
    content = json.loads((written / "evaluation.json").read_text())
    models = {"sources": SOURCES, "curve": CURVE, "importance": {"rank_popular": 3.0, "item_age_days": 1.0}}
    page = evaluation_page({**content, "models": models}, None)
    for words in ("7.7%", ">off<", "5.070", "0.2400", "rank_popular", "75.0%"):
        assert words in page, words
    assert page.index("popular") < page.index("similar")
    assert "What the trees read" not in evaluation_page({**content, "models": {"curve": CURVE}}, None)


def test_without_models_there_is_no_section() -> None:
    assert model_sections({}) == []
    assert model_sections({"sources": {}, "curve": [], "importance": {}}) == []
