"""Histories of drift and retrainings."""

from __future__ import annotations

from tests.monitoring.alert_cases.case import Case

TRANSFORMER = 'up{job="kuberec-transformer"}'


def column(dataset: str, feature: str, psi: str, *, alarms: int) -> dict[str, str]:
    labels = f'{{dataset="{dataset}",feature="{feature}"}}'
    return {f"recs_drift_psi{labels}": f"{psi}x10", f"recs_drift_alarms{labels}": f"{alarms}x10"}


DRIFT = (
    Case(
        "KuberecDriftSignificant",
        "prices moved",
        {
            'recs_drift_features{dataset="shop",severity="significant"}': "2x10",
            **column("shop", "price", "1.5", alarms=1),
            **column("shop", "category", "0.4", alarms=1),
            **column("shop", "hour", "9.5", alarms=0),
            **column("museum", "colour", "2.5", alarms=1),
        },
        "0m",
        {"dataset": "shop"},
        says="2 features of shop have a PSI of 0.2 or more. The largest: category 0.40; price 1.50; a retraining "
        "starts automatically, unless one started within the cooldown.",
    ),
    Case(
        "KuberecDriftSignificant",
        "moderate, and a calendar feature that may move",
        {
            'recs_drift_features{severity="significant"}': "0x10",
            'recs_drift_features{severity="moderate"}': "3x10",
            'recs_drift_psi{feature="hour"}': "1.5x10",
        },
        "5m",
    ),
    Case(
        "KuberecDriftJobLate",
        "the last run is over 26 hours ago",
        {"recs_drift_last_run_timestamp_seconds": "0x1700"},
        "1590m",
        says="The drift job last succeeded 1d 2h 30m 0s ago (or has never run); it runs once a day. Drift is not "
        "measured.",
    ),
    Case(
        "KuberecDriftJobLate",
        "servers for over a day, never a drift job",
        {TRANSFORMER: "1x1700"},
        "1580m",
        says="The drift job last succeeded 1d 2h 0m 1s ago (or has never run); it runs once a day. Drift is not "
        "measured.",
    ),
    Case("KuberecDriftJobLate", "a day-old run", {"recs_drift_last_run_timestamp_seconds": "0x1700"}, "1450m"),
    Case("KuberecDriftJobLate", "a system of an hour", {TRANSFORMER: "1x70"}, "60m"),
    Case(
        "KuberecRetrainingRefused",
        "the gate refused",
        {'recs_retraining_refused{dataset="shop"}': "0x5 1x10"},
        "6m",
        {"dataset": "shop"},
        says="Drift started a retraining, and it released no bundle. The previous bundle stays in service, although "
        "the data has drifted from it.",
    ),
    Case("KuberecRetrainingRefused", "the latest one was released", {"recs_retraining_refused": "1x5 0x10"}, "10m"),
)
