"""The generated dashboard: panels do not overlap, queries are valid, and all that is alerted on is shown."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import combinations

import pytest
import yaml

from monitoring.dashboards import ROWS, __main__, kuberec_dashboard
from monitoring.rules import ALERTS, RECORDINGS

EXPRESSIONS = [series.expression for row in ROWS for panel in row.panels for series in panel.series]
RECORDED = {recording.name: recording.expression for recording in RECORDINGS}


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory) -> dict:
    """What `python -m monitoring.dashboards` writes."""
    folder = tmp_path_factory.mktemp("dashboards")
    __main__.main(["--out", str(folder)])
    return json.loads((folder / "dashboard.json").read_text())


def metrics(expression: str) -> set[str]:
    """Names of what is scraped for an expression, through the series recorded ahead."""
    names = set(re.findall(r"\b(?:recs[:_][a-z0-9_:]+|redis_[a-z_]+)", expression))
    recorded = names & set(RECORDED)
    scraped = {name.removesuffix("_bucket") for name in names - recorded}
    return scraped.union(*(metrics(RECORDED[name]) for name in recorded if RECORDED[name] != expression))


def test_panels_do_not_overlap(dashboard):
    assert dashboard == kuberec_dashboard()
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == [row.title for row in ROWS]
    squares = []
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        columns, lines = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        squares.append({(column, line) for column in columns for line in lines})
    assert not any(one & other for one, other in combinations(squares, 2))


def test_every_panel_says_how_to_read_it_and_has_queries(dashboard):
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["description"].endswith("."), panel["title"]
        assert [target["refId"] for target in panel["targets"]] == list("ABC"[: len(panel["targets"])])
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        assert all(target["instant"] != target["range"] for target in panel["targets"])
        colors = [step["color"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert colors in (["green"], ["green", "red"], ["green", "yellow", "red"])


def test_queries_are_promql(promtool, tmp_path):
    rules = [{"record": f"panel:{place}", "expr": expression} for place, expression in enumerate(EXPRESSIONS)]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    subprocess.run([promtool, "check", "rules", path], check=True, capture_output=True)


def test_all_that_is_alerted_on_is_shown():
    shown = set().union(*map(metrics, EXPRESSIONS))
    alerted = set().union(*(metrics(alert.value) for alert in ALERTS))
    assert "recs_requests_total" in alerted
    assert alerted - shown == {"recs_retraining_refused"}  # shown as the time since the last refused retraining


def test_series_recorded_ahead_exist():
    named = {
        name for text in [*EXPRESSIONS, *(one.value for one in ALERTS)] for name in re.findall(r"recs:[\w:]+", text)
    }
    assert named == set(RECORDED)
