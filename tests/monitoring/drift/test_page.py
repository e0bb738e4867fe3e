"""The page and the gauges of a drift report."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitoring.drift.figures import drift_figures
from monitoring.drift.page import DATA_FILE, METRICS_FILE, PAGE_FILE, drift_page, write_reports
from monitoring.drift.report import Bin, DriftReport, FeatureDrift, Severity, severity_of, worst_first
from monitoring.ledger import DriftAnswer, Retraining
from tests.feature_repo.pages.tags import read_tags

BINS = (Bin(label="up to 3", reference=0.9, current=0.2), Bin(label="above 3", reference=0.1, current=0.8))


def feature(name: str, psi: float | None, **changes: Any) -> FeatureDrift:
    given = {"name": name, "kind": "item", "psi": psi, "severity": severity_of(psi, 900), "alarms": True, "units": 900}
    return FeatureDrift.model_validate({**given, "bins": BINS if psi is not None else (), **changes})


def report(verdict: Severity = "significant", **changes: Any) -> DriftReport:
    features = [
        feature("quiet", 0.01),
        feature("item_log_price", 0.84, detail="above 3: 10 % → 80 %"),
        feature("request_weekday_sin", 5.9, kind="calendar", alarms=False),
        feature("<b>&\"odd\"</b>", 0.15),
        feature("label_click", None, kind="label", alarms=False, detail="the log has no slates"),
    ]  # fmt: skip
    given = {
        "dataset": "shop",
        "bundle_version": "v7",
        "feature_hash": "f" * 16,
        "start": 1_764_000_000.0,
        "end": 1_764_086_400.0,
        "measured_at": 1_764_086_500.25,
        "verdict": verdict,
        "sentence": "item_log_price (PSI 0.84) has drifted significantly over 900 requests.",
        "num_requests": 900,
        "num_impressions": 18_000,
        "num_left_out": {"served by another bundle": 1234},
        "features": worst_first(features),
    }
    return DriftReport.model_validate({**given, **changes})


def test_the_page_is_whole_and_needs_no_network() -> None:
    text = drift_page(report())
    tags = read_tags(text)
    assert tags.open == []
    assert not re.search(r"https?:|//|@import|url\(|<script|<link|<img", text)
    assert {name for name, _ in tags.attributes} & {"src", "href", "srcset"} == set()


def test_verdict_and_worst_feature_come_first() -> None:
    text = drift_page(report())
    order = ["Significant drift", "item_log_price (PSI 0.84) has drifted", "What to do", "900 requests, 18,000 items",
             "1,234 served by another bundle", "Worst first", "<h3>item_log_price</h3>", "10 % → 80 %",
             "All 5 columns", "request_weekday_sin", "label_click", "the log has no slates"]  # fmt: skip
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "2025-11-24 16:00 to 2025-11-25 16:00 UTC" in text
    assert "significant, no alarm" in text
    rows = re.findall(r"<tr><td><code>(item_log_price|request_weekday_sin)</code>.*?badge (\w+)", text)
    assert rows == [("item_log_price", "bad"), ("request_weekday_sin", "plain")]
    assert "<h3>request_weekday_sin" not in text
    assert "&lt;b&gt;&amp;&quot;odd&quot;&lt;/b&gt;" in text
    assert "<b>&" not in text


@pytest.mark.parametrize(
    ("verdict", "title", "advice"),
    [
        ("none", "No drift", "Nothing has to be done."),
        ("moderate", "Moderate drift", "Check whether the same features were moderate"),
        ("insufficient", "Too little data", "The window stays open."),
    ],
)
def test_every_verdict_says_what_to_do(verdict: Severity, title: str, advice: str) -> None:
    text = drift_page(report(verdict))
    assert f"<h1>{title}</h1>" in text
    assert advice in text


def test_an_empty_window_has_a_page() -> None:
    text = drift_page(report("insufficient", features=(), num_requests=0, num_impressions=0, num_left_out={}))
    assert "Worst first" not in text
    assert "<dt>Not compared</dt><dd>none</dd>" in text


def test_the_page_says_what_was_done_and_that_a_retraining_was_refused() -> None:
    refused = Retraining(
        key="k",
        bundle="v7",
        window_start=0,
        window_end=1,
        cause="price",
        started_at=1,
        finished_at=2,
        outcome="refused",
        sentence="quality 71 % is below 95 %",
    )
    answer = DriftAnswer(retrain=True, sentence="price drifted", latest=refused)
    text = drift_page(report(answer=answer))
    assert "A retraining was started:</b> price drifted" in text
    assert "was refused, and the previous bundle stays in service:</b> quality 71 % is below 95 %" in text
    assert "was refused" not in drift_page(report(answer=answer, bundle_version="trained by hand since"))


def test_a_long_table_of_categories_is_drawn_by_what_moved() -> None:
    bins = tuple(Bin(label=f"c{n}", reference=0.05, current=0.05 + (0.2 if n == 19 else 0)) for n in range(20))
    text = drift_page(report(features=(feature("item_category", 0.5, bins=bins),)))
    assert "and 7 that moved less" in text
    assert "c19" in text


def test_files_are_page_data_and_gauges(tmp_path: Path) -> None:
    given = report()
    write_reports(given, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([PAGE_FILE, DATA_FILE, METRICS_FILE])
    assert DriftReport.model_validate_json((tmp_path / DATA_FILE).read_text()) == given
    assert (tmp_path / METRICS_FILE).read_text() == drift_figures(given)


def test_gauges_read_back() -> None:
    families = {family.name: family for family in text_string_to_metric_families(drift_figures(report()))}
    assert {name: family.type for name, family in families.items()} == dict.fromkeys(
        [
            *("recs_drift_psi", "recs_drift_alarms", "recs_drift_features", "recs_drift_requests"),
            "recs_drift_last_run_timestamp_seconds",
        ],
        "gauge",
    )
    psi = {sample.labels["feature"]: sample.value for sample in families["recs_drift_psi"].samples}
    odd = '<b>&"odd"</b>'
    assert psi == {"item_log_price": 0.84, "request_weekday_sin": 5.9, odd: 0.15, "quiet": 0.01}
    alarms = {sample.labels["feature"]: sample.value for sample in families["recs_drift_alarms"].samples}
    assert alarms == {"item_log_price": 1, "request_weekday_sin": 0, odd: 0, "quiet": 0}
    counts = {sample.labels["severity"]: sample.value for sample in families["recs_drift_features"].samples}
    # The calendar is significant and does not count, nor does what could not be compared.
    assert counts == {"none": 1, "moderate": 1, "significant": 1, "insufficient": 0}
    assert families["recs_drift_requests"].samples[0].value == 900
    assert families["recs_drift_last_run_timestamp_seconds"].samples[0].value == 1_764_086_500.25
    assert {sample.labels["dataset"] for family in families.values() for sample in family.samples} == {"shop"}


def test_names_of_any_kind_are_taken_by_collectors(promtool: str) -> None:
    """The columns that a dataset's owner lists have names of his language; one bad escape spoils the whole file."""
    odd = 'größe\t"in\\cm"\nand 寸'
    text = drift_figures(report(features=(feature(odd, 0.3),)))
    (family,) = (one for one in text_string_to_metric_families(text) if one.name == "recs_drift_psi")
    assert [sample.labels["feature"] for sample in family.samples] == [odd]
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
