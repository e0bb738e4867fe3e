"""What follows from a drift report: one sentence, and at most one retraining."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring.decision import decide
from monitoring.drift.report import DriftReport, FeatureDrift, Severity
from monitoring.ledger import Ledger, Retraining, retraining_key

NOW = 1_800_000_000.0
HOUR = 3_600.0
START = NOW - 86_400


def feature(name: str, psi: float, severity: Severity = "significant", **changes: Any) -> FeatureDrift:
    given = {"name": name, "kind": "item", "psi": psi, "severity": severity, "alarms": True, "units": 900, **changes}
    return FeatureDrift.model_validate(given)


def report(verdict: Severity, *features: FeatureDrift) -> DriftReport:
    return DriftReport(
        dataset="shop",
        bundle_version="v7",
        feature_hash="f" * 16,
        start=START,
        end=NOW,
        measured_at=NOW,
        verdict=verdict,
        sentence="It is so.",
        num_requests=900,
        num_impressions=18_000,
        features=features,
    )


DRIFTED = report(
    "significant",
    feature("price", 0.84),
    feature("device", 0.72),
    feature("category", 0.41),
    feature("brand", 0.31),
    feature("weekday", 5.9, alarms=False),
)


def retraining(**changes: Any) -> Retraining:
    given = {
        "key": "another",
        "bundle": "v6",
        "window_start": 0.0,
        "window_end": 1.0,
        "cause": "price",
        "started_at": NOW - 30 * HOUR,
        "finished_at": NOW - 29 * HOUR,
        "outcome": "released",
        "version": "v7",
        **changes,
    }
    return Retraining.model_validate(given)


def test_significant_drift_is_a_retraining_and_names_the_worst() -> None:
    decision = decide(DRIFTED, Ledger(), NOW, 12 * HOUR)
    assert decision.retrain
    assert decision.key == retraining_key("v7", START)
    assert decision.cause == (
        "price (PSI 0.84), device (PSI 0.72), category (PSI 0.41) and 1 more drifted from the reference of bundle v7, "
        "over 900 requests."
    )


@pytest.mark.parametrize("verdict", ["none", "moderate", "insufficient"])
def test_less_is_none(verdict: Severity) -> None:
    decision = decide(report(verdict, feature("price", 0.15, "moderate")), Ledger(), NOW, 0)
    assert not decision.retrain
    assert decision.cause.startswith("It is so.")
    words = {"none": "so.", "moderate": "starts no retraining.", "insufficient": "until there are more."}
    assert decision.cause.endswith(words[verdict])


@pytest.mark.parametrize(
    ("outcome", "told"),
    [("running", "is running"), ("refused", "was refused"), ("failed", "failed"), ("released", "released bundle v7")],
)
def test_a_window_is_answered_once(outcome: str, told: str) -> None:
    known = Ledger(retrainings=(retraining(key=retraining_key("v7", START), outcome=outcome),))
    decision = decide(DRIFTED, known, NOW, 0)
    assert not decision.retrain
    assert decision.cause.endswith(f"the retraining that answers this window {told}.")


def test_a_lost_try_answers_nothing() -> None:
    lost = retraining(key=retraining_key("v7", START), outcome="failed", lost=True, started_at=NOW - HOUR)
    assert decide(DRIFTED, Ledger(retrainings=(lost,)), NOW, 12 * HOUR).retrain


def test_none_is_started_while_one_runs() -> None:
    decision = decide(DRIFTED, Ledger(retrainings=(retraining(outcome="running"),)), NOW, 0)
    assert not decision.retrain
    assert decision.cause.endswith("and the retraining another is still running.")


def test_none_is_started_within_the_cool_down() -> None:
    known = Ledger(retrainings=(retraining(started_at=NOW - 11 * HOUR),))
    decision = decide(DRIFTED, known, NOW, 12 * HOUR)
    assert not decision.retrain
    assert decision.cause.endswith("the last retraining was started 11 h ago: the next may start in 60 min.")
    assert decide(DRIFTED, known, NOW + HOUR, 12 * HOUR).retrain
