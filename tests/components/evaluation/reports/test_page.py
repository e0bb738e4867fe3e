"""The page stands alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

from components.evaluation.evaluate import EvaluationResult
from components.evaluation.gate.gate import decide
from components.evaluation.reports.page import evaluation_page


def test_the_page_needs_no_network(result: EvaluationResult, written: Path) -> None:
    content = json.loads((written / "evaluation.json").read_text())
    page = evaluation_page(content | {"dataset": "<b>&"}, decide(result.scores))
    assert not re.search(r"(src|href)=|https?://|<script|@import", page)
    assert "<svg" in page
    assert "<b>&</h1>" not in page
