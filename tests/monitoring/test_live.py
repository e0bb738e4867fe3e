"""A real Prometheus over both servers under load, and over what the drift job wrote: no expression looks at nothing."""

from __future__ import annotations

import itertools
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from monitoring.dashboards import ROWS
from monitoring.dashboards.redis import REDIS
from monitoring.drift.figures import drift_figures
from monitoring.drift.report import DriftReport, FeatureDrift, worst_first
from monitoring.ledger import Ledger, Outcome, Retraining
from monitoring.ledger_metrics import ledger_metrics
from monitoring.rules import ALERTS, GROUPS, PREDICTOR, RECORDINGS, TRANSFORMER
from tests.kit import servers, world
from tests.kit.bundle_factory import make_bundle
from tests.kit.ports import free_port
from tests.monitoring.prometheus import Prometheus, prometheus, textfile_exporter

# Expressions without any value in a healthy system of a minute, and why.
EMPTY = {
    "recs:requests:expected1h": "there is no yesterday yet",
    "recs:requests:rate1h / on () recs:requests:expected1h": "there is no yesterday yet",
    "recs:requests:rate1h offset 1w or recs:requests:rate1h offset 1d": "there is no yesterday yet",
    'recs:degraded:ratio_rate5m{reason="features"}': "the online store has not failed",
}
OF_REDIS = [series.expression for panel in REDIS.panels for series in panel.series]
OF_REDIS += [alert.value for alert in GROUPS["redis"]]
EMPTY |= dict.fromkeys(OF_REDIS, "the features are in SQLite")


@dataclass(frozen=True)
class Live:
    prometheus: Prometheus
    serving: servers.Serving


@pytest.fixture(scope="module")
def live(tmp_path_factory) -> Iterator[Live]:
    directory = tmp_path_factory.mktemp("live")
    drift = directory / "drift"
    drift.mkdir()
    write_drift(drift)
    bundles = [make_bundle(directory / "one")]
    serving = servers.make(directory, bundles, KUBEREC_LOG=str(directory / "log"))
    with servers.ended(serving), textfile_exporter(drift, free_port()) as exporter:
        serving.predictor.start()
        serving.transformer.start()
        servers.wait_ready(serving.predictor_url, serving.predictor)
        servers.wait_ready(serving.url, serving.transformer)
        addresses = {"transformer": serving.url, "predictor": serving.predictor_url}
        addresses = {name: url.removeprefix("http://") for name, url in addresses.items()}
        with prometheus(directory, free_port(), addresses, exporter) as running:
            load(serving, until=lambda: len(running.values("rate(recs_requests_total[5m]) > 0")) == 4)
            serving.predictor.end(signal.SIGKILL)
            load(serving, until=lambda: len(running.values("recs:degraded:ratio_rate5m > 0")) == 1)
            yield Live(running, serving)


def write_drift(folder: Path) -> None:
    """The figures of a drift job that found prices moved and whose last two retrainings ended differently."""
    features = [
        FeatureDrift(name="item.price", kind="item", psi=1.25, severity="significant", alarms=True, units=900),
        FeatureDrift(name="request.hour", kind="calendar", psi=2.0, severity="significant", alarms=False, units=900),
        FeatureDrift(name="user.age", kind="user", psi=0.02, severity="none", alarms=True, units=900),
    ]
    now = time.time()
    report = DriftReport(
        dataset="world",
        bundle_version="20260101T000000-00000000",
        feature_hash="f" * 64,
        start=now - 86_400,
        end=now,
        measured_at=now,
        verdict="significant",
        sentence="item.price moved.",
        num_requests=900,
        num_impressions=9000,
        features=worst_first(features),
    )
    outcomes: dict[Outcome, float] = {"released": 90_000.0, "refused": 3_600.0}
    ended = [
        Retraining(
            key=outcome,
            bundle=report.bundle_version,
            window_start=report.start,
            window_end=report.end,
            cause="drift",
            started_at=now - age,
            finished_at=now - age + 60,
            outcome=outcome,
        )
        for outcome, age in outcomes.items()
    ]
    text = drift_figures(report) + ledger_metrics("world", Ledger(retrainings=tuple(ended)), report.bundle_version)
    (folder / "recs_drift_world.prom").write_text(text)


def load(serving: servers.Serving, until: Callable[[], bool]) -> None:
    """People ask for feeds, and some clients badly, until Prometheus has seen enough of it."""
    numbers = itertools.count()

    def ask_and_look() -> bool:
        for number in itertools.islice(numbers, 20):
            user = f"u{number % 50}"
            serving.feed(user)
            serving.feed(user, surface="similar", item_id=world.item_id(number % 20))
            shown = serving.feed(user, surface="email", count=5)
            event = {
                "event_id": str(uuid4()),
                "user_id": user,
                "item_id": shown["items"][0]["item_id"],
                "event_type": "click",
            }
            assert serving.client.post("/api/v1/events", json=event).status_code == 202
            assert serving.get(user, count=0).status_code == 422
        return until()

    servers.wait_for(ask_and_look, "Prometheus does not see what is asked", 30)


def expressions() -> dict[str, str]:
    """Every expression of a rule or panel, by where it stands."""
    found = {recording.expression: recording.name for recording in RECORDINGS}
    found |= {recording.name: recording.name for recording in RECORDINGS}
    found |= {alert.value: alert.name for alert in ALERTS}
    return found | {
        series.expression: f"{row.title}: {panel.title}"
        for row in ROWS
        for panel in row.panels
        for series in panel.series
    }


def any_number(of: Prometheus, expression: str) -> bool:
    return not all(math.isnan(value) for _, value in of.values(expression))


def test_every_expression_has_values(live):
    """Values may be 0; no value at all is listed above with its reason, or a mistake."""

    def empty() -> dict[str, str]:
        return {text: place for text, place in expressions().items() if not any_number(live.prometheus, text)}

    deadline = time.monotonic() + 20
    while (left := empty()).keys() != EMPTY.keys() and time.monotonic() < deadline:
        time.sleep(0.5)  # two scrapes after the last event are seconds away
    assert left.keys() == EMPTY.keys(), {text: place for text, place in left.items() if text not in EMPTY}


def test_what_is_seen_is_what_happened(live):
    values = live.prometheus.values
    assert {labels["job"]: value for labels, value in values("up")} == {TRANSFORMER: 1, PREDICTOR: 0, "drift": 1}
    shown = {labels["surface"] for labels, _ in values('sum by (surface) (recs_requests_total{code="200"}) > 10')}
    assert shown == {"home", "similar", "email"}
    ((_, share),) = values('recs:degraded:ratio_rate5m{reason="ranker"}')
    assert 0 < share < 1
    ((_, errors),) = values("recs:errors:ratio_rate5m")
    assert errors == 0


def test_rules_are_well_and_say_something(live):
    groups = live.prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(ALERTS) + len(RECORDINGS)
    assert {rule["health"] for rule in rules} == {"ok"}, [rule for rule in rules if rule["health"] != "ok"]
    # More may be pending: how many answers lacked the ranker, and how slow they were, is not for this test to say.
    pending, firing = {"KuberecTargetDown", "KuberecDegraded"}, {"KuberecDriftSignificant", "KuberecRetrainingRefused"}

    def alerts() -> dict[str, dict]:
        return {alert["labels"]["alertname"]: alert for alert in live.prometheus.get("alerts")["alerts"]}

    def named(state: str) -> set[str]:
        return {name for name, alert in alerts().items() if alert["state"] == state}

    servers.wait_for(lambda: pending <= named("pending") and firing == named("firing"), f"{alerts()}", 15)
    texts = {name: alert["annotations"]["description"] for name, alert in alerts().items()}
    assert "item.price 1.25;" in texts["KuberecDriftSignificant"]
    assert texts["KuberecDriftSignificant"].startswith("1 features of world")
    assert "request.hour" not in texts["KuberecDriftSignificant"]
    assert all("error" not in text and "<no value>" not in text for text in texts.values()), texts
