"""Alerts about what answers are made from, and about the log that is made of them."""

from __future__ import annotations

from monitoring.rules.model import Alert
from monitoring.rules.serving import TRANSFORMER

# Predictors hold the bundle before as well, so that they can answer for it.
_SERVED = f'recs_bundle_info{{job="{TRANSFORMER}"}}'
_LOST = "recs_log_lost_rows_total"

DATA = (
    Alert(
        name="KuberecBundleRefused",
        value="max by (job) (increase(recs_bundle_failures_total[5m]))",
        condition="> 0",
        lasting="5m",
        severity="ticket",
        summary="A bundle cannot be loaded",
        description=(
            '{{ $labels.job }} fails to load a bundle or to read the store, {{ $value | printf "%.0f" }} times in 5 '
            "minutes. What it held before stays in service."
        ),
    ),
    Alert(
        name="KuberecBundlesDiffer",
        value=f"count(count by (version) ({_SERVED}))",
        condition="> 1",
        lasting="15m",
        severity="ticket",
        summary="Transformers serve different bundles",
        description=(
            "{{ $value }} bundles are in service at once for 15 minutes; a swap takes seconds: "
            "{{ range query `count by (version) (" + _SERVED + ")` }}{{ .Labels.version }} on {{ .Value }}; {{ end }}"
            "people get one or the other by chance."
        ),
    ),
    Alert(
        name="KuberecFeaturesOld",
        value="max by (view) (recs_feature_age_seconds)",
        condition="> 3 * 3600",
        lasting="10m",
        severity="ticket",
        summary="Features are not refreshed",
        description=(
            "The features of {{ $labels.view }} in use were computed {{ $value | humanizeDuration }} ago; they are "
            "refreshed every hour. Feeds do not know what people did since, nor new prices and stock."
        ),
    ),
    Alert(
        name="KuberecIndexOld",
        value="max(recs_index_age_seconds)",
        condition="> 24 * 3600",
        lasting="1h",
        severity="ticket",
        summary="The item index is old",
        description=(
            "The bundle in service was made {{ $value | humanizeDuration }} ago; training releases one a day. New "
            "items are not recommended."
        ),
    ),
    Alert(
        name="KuberecLogRowsLost",
        # The first part sees what a server lost before it was first looked at, which is no increase.
        value=f"sum by (table, reason) ({_LOST} unless {_LOST} offset 15m or increase({_LOST}[15m]))",
        condition="> 0",
        lasting="0m",
        severity="ticket",
        summary="Rows of the log are lost",
        description=(
            '{{ $value | printf "%.0f" }} rows of {{ $labels.table }} were lost within 15 minutes '
            "({{ $labels.reason }}). Training and drift will not see them."
        ),
    ),
    Alert(
        name="KuberecLogStuck",
        value="sum by (job, instance) (rate(recs_log_rows_total[10m]))",
        condition="== 0 and on (job, instance) recs_log_waiting_rows > 0",
        lasting="10m",
        severity="ticket",
        summary="The log is not written",
        description=(
            "{{ $labels.instance }} has brought no row into the log for 10 minutes, and has rows that wait. They are "
            "kept on its disk until there is no room."
        ),
    ),
    Alert(
        name="KuberecEventsRefused",
        value='sum(rate(recs_events_total{outcome=~"refused|failed"}[5m])) / sum(rate(recs_events_total[5m]))',
        condition="> 0.01",
        lasting="10m",
        severity="ticket",
        summary="Events are not taken",
        description=(
            "{{ $value | humanizePercentage }} of the posted events were refused or could not be kept. What people do "
            "does not reach features and training."
        ),
    ),
)
