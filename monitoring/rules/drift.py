"""Alerts about drift, about the drift job and about the retrainings that the job starts."""

from __future__ import annotations

from monitoring.rules.model import Alert

_LAST_RUN = "recs_drift_last_run_timestamp_seconds"

DRIFT = (
    Alert(
        name="KuberecDriftSignificant",
        # recs_drift_features only counts features that may alarm. recs_drift_psi also has calendar and exposure
        # features, and values of too few requests.
        value='max by (dataset) (recs_drift_features{severity="significant"})',
        condition="> 0",
        lasting="0m",
        severity="ticket",
        summary="Served data has drifted from the training data",
        description=(
            '{{ $value | printf "%.0f" }} features of {{ $labels.dataset }} have a PSI of 0.2 or more. The largest: '
            '{{ range printf "topk(5, recs_drift_psi{dataset=%q} and on (dataset, feature) recs_drift_alarms == 1)" '
            '$labels.dataset | query | sortByLabel "feature" }}{{ .Labels.feature }} '
            '{{ .Value | printf "%.2f" }}; {{ end }}a retraining starts automatically, '
            "unless one started within the cooldown."
        ),
    ),
    Alert(
        name="KuberecDriftJobLate",
        # Also fires if the job has never reported, once the servers have been up for 26 hours.
        value=f"(time() - max by (dataset) ({_LAST_RUN}) or on () (26 * 3600 + 1) * absent({_LAST_RUN}) "
        "and on () recs:requests:rate5m offset 26h)",
        condition="> 26 * 3600",
        lasting="15m",
        severity="ticket",
        summary="The drift job has not run",
        description=(
            "The drift job last succeeded {{ $value | humanizeDuration }} ago (or has never run); it runs once a day. "
            "Drift is not measured."
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
            "Drift started a retraining, and it released no bundle. The previous bundle stays in service, although the "
            "data has drifted from it."
        ),
    ),
)
