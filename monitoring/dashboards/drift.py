"""The dashboard row about drift and the retrainings that it starts."""

from __future__ import annotations

from monitoring.dashboards.model import Panel, Row, Series

ALARMING = "recs_drift_alarms == 1"

DRIFT = Row(
    "Drift",
    (
        Panel(
            "Drifted columns",
            "PSI of the columns that alarm, in the last window. No bar means no drift.",
            (Series(f"recs_drift_psi and on (dataset, feature) {ALARMING}", "{{dataset}} {{feature}}"),),
            kind="bargauge",
            limits=(0.1, 0.2),
        ),
        Panel(
            "PSI of the 20 columns that moved most",
            "From 0.1 moderate, from 0.2 significant. Hours, weekdays and impression counts move on ordinary days, and "
            "few requests give high values by chance. Only columns in the left panel start a retraining.",
            (Series("topk(20, recs_drift_psi)", "{{dataset}} {{feature}}"),),
            kind="bargauge",
            limits=(0.1, 0.2),
        ),
        Panel(
            "PSI over time",
            "The ten largest of every run, including columns that never alarm.",
            (Series("topk(10, recs_drift_psi)", "{{dataset}} {{feature}}"),),
            limits=(0.1, 0.2),
        ),
        Panel(
            "Columns by severity",
            "Columns that may alarm, in the last run. `insufficient` means too little data to compare.",
            (Series("max by (dataset, severity) (recs_drift_features)", "{{dataset}} {{severity}}"),),
            kind="bargauge",
        ),
        Panel(
            "Requests of the last window",
            "The requests that the drift job compared.",
            (Series("max by (dataset) (recs_drift_requests)", "{{dataset}}"),),
            kind="stat",
            width=4,
        ),
        Panel(
            "Since the last drift job",
            "The drift job runs once a day.",
            (Series("time() - max by (dataset) (recs_drift_last_run_timestamp_seconds)", "{{dataset}}"),),
            "s",
            kind="stat",
            width=4,
            limits=(93_600.0,),
        ),
        Panel(
            "Since the last retraining, by outcome",
            "The outcome of retrainings that drift started; `refused` means that a gate stopped it.",
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
