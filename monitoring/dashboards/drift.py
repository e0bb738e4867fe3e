"""The row about drift and the retrainings it starts."""

from __future__ import annotations

from monitoring.dashboards.model import Panel, Row, Series

DRIFT = Row(
    "Drift",
    (
        Panel(
            "PSI of the 20 features that moved most",
            "The last window beside the bundle's reference: under 0.1 nothing, from 0.2 significant. Calendar features "
            "(hour, weekday) move by themselves and start nothing.",
            (Series("topk(20, recs_drift_psi)", "{{feature}}"),),
            kind="bargauge",
            width=12,
            limits=(0.1, 0.2),
        ),
        Panel(
            "PSI over time",
            "The ten largest of every run.",
            (Series("topk(10, recs_drift_psi)", "{{feature}}"),),
            width=12,
            limits=(0.1, 0.2),
        ),
        Panel(
            "Features by severity",
            "Of the last run; `insufficient` had under 500 units to count.",
            (Series("max by (severity) (recs_drift_features)", "{{severity}}"),),
            kind="bargauge",
        ),
        Panel(
            "Requests of the last window",
            "What the drift job compared.",
            (Series("max(recs_drift_requests)", "requests"),),
            kind="stat",
            width=4,
        ),
        Panel(
            "Since the last drift job",
            "It runs once a day.",
            (Series("time() - max(recs_drift_last_run_timestamp_seconds)", "last run"),),
            "s",
            kind="stat",
            width=4,
            limits=(93_600.0,),
        ),
        Panel(
            "Since the last retraining, by outcome",
            "What became of retrainings that drift started; `refused` was stopped by a gate.",
            (Series("time() - max by (outcome) (recs_retraining_last_timestamp_seconds)", "{{outcome}}"),),
            "s",
            kind="stat",
            width=8,
        ),
    ),
)
