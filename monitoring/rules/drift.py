"""Alerts about drift, the job that measures it and the retrainings it starts."""

from __future__ import annotations

from monitoring.rules.model import Alert

_LAST_RUN = "recs_drift_last_run_timestamp_seconds"

DRIFT = (
    Alert(
        name="KuberecDriftSignificant",
        # Counts what may alarm: recs_drift_psi has the calendar too, exposure, and figures of too few requests.
        value='max by (dataset) (recs_drift_features{severity="significant"})',
        condition="> 0",
        lasting="0m",
        severity="ticket",
        summary="What is served has drifted from what was trained on",
        description=(
            '{{ $value | printf "%.0f" }} features of {{ $labels.dataset }} have a PSI of 0.2 or more. The largest: '
            '{{ range printf "topk(5, recs_drift_psi{dataset=%q} and on (dataset, feature) recs_drift_alarms == 1)" '
            '$labels.dataset | query | sortByLabel "feature" }}{{ .Labels.feature }} '
            '{{ .Value | printf "%.2f" }}; {{ end }}a retraining is started by itself, unless one ran just before.'
        ),
    ),
    Alert(
        name="KuberecDriftJobLate",
        # Never reported counts too, once the servers have been up for a day.
        value=f"(time() - max by (dataset) ({_LAST_RUN}) or on () (26 * 3600 + 1) * absent({_LAST_RUN}) "
        "and on () recs:requests:rate5m offset 26h)",
        condition="> 26 * 3600",
        lasting="15m",
        severity="ticket",
        summary="The drift job has not run",
        description=(
            "The drift job last ended well {{ $value | humanizeDuration }} ago (or never did); it runs once a day. "
            "Nobody watches the data."
        ),
    ),
    Alert(
        name="KuberecRetrainingRefused",
        value="max by (dataset) (recs_retraining_refused)",
        condition="== 1",
        lasting="0m",
        severity="ticket",
        summary="A retraining was refused or failed",
        description=(
            "Drift started a retraining, and no bundle came of it. The bundle before stays in service, on data it was "
            "not made for."
        ),
    ),
)
