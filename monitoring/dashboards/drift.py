"""The row about drift and the retrainings it starts."""

from __future__ import annotations

from monitoring.dashboards.model import Panel, Row, Series

ALARMING = "recs_drift_alarms == 1"

DRIFT = Row(
    "Drift",
    (
        Panel(
            "What has drifted",
            "PSI of the columns that alarm, in the last window. No bar: nothing has drifted.",
            (Series(f"recs_drift_psi and on (dataset, feature) {ALARMING}", "{{dataset}} {{feature}}"),),
            kind="bargauge",
            limits=(0.1, 0.2),
        ),
        Panel(
            "PSI of the 20 columns that moved most",
            "Under 0.1 nothing, from 0.2 significant. Hours, weekdays and how often items were shown move by "
            "themselves, and few requests give high figures by chance: what is not on the left starts nothing.",
            (Series("topk(20, recs_drift_psi)", "{{dataset}} {{feature}}"),),
            kind="bargauge",
            limits=(0.1, 0.2),
        ),
        Panel(
            "PSI over time",
            "The ten largest of every run, with what never alarms.",
            (Series("topk(10, recs_drift_psi)", "{{dataset}} {{feature}}"),),
            limits=(0.1, 0.2),
        ),
        Panel(
            "Columns by severity",
            "Of the last run, of those that may alarm; `insufficient` had under 500 units to count.",
            (Series("max by (dataset, severity) (recs_drift_features)", "{{dataset}} {{severity}}"),),
            kind="bargauge",
        ),
        Panel(
            "Requests of the last window",
            "What the drift job compared.",
            (Series("max by (dataset) (recs_drift_requests)", "{{dataset}}"),),
            kind="stat",
            width=4,
        ),
        Panel(
            "Since the last drift job",
            "It runs once a day.",
            (Series("time() - max by (dataset) (recs_drift_last_run_timestamp_seconds)", "{{dataset}}"),),
            "s",
            kind="stat",
            width=4,
            limits=(93_600.0,),
        ),
        Panel(
            "Since the last retraining, by outcome",
            "What became of retrainings that drift started; `refused` was stopped by a gate.",
            (
                Series(
                    "time() - max by (dataset, outcome) (recs_retraining_last_timestamp_seconds)",
                    "{{dataset}} {{outcome}}",
                ),
            ),
            "s",
            kind="stat",
            width=8,
        ),
    ),
)
