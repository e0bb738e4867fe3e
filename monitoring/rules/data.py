"""Alerts about the inputs of answers (bundle, index, features) and about the log."""

from __future__ import annotations

from monitoring.rules.model import Alert
from monitoring.rules.serving import TRANSFORMER

# Predictors are left out: they also hold the previous bundle.
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
            '{{ $labels.job }} failed to load a bundle or to read the store {{ $value | printf "%.0f" }} times in 5 '
            "minutes. It keeps serving the bundle that it holds."
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
            "{{ $value }} bundles have been in service together for 15 minutes; a swap takes seconds: "
            "{{ range query `count by (version) (" + _SERVED + ")` | sortByLabel `version` }}"
            "{{ .Labels.version }} on {{ .Value }}; {{ end }}"
            "users get either one, depending on the replica."
        ),
    ),
    Alert(
        name="KuberecStoreEmptied",
        value="min(recs_store_complete)",
        condition="== 0",
        lasting="0m",
        severity="page",
        summary="The online store was emptied, or lost rows",
        description=(
            "A transformer finds no record of features in the online store, or fewer rows than were written. Users are "
            "not recognised; prices and stock keep their last known values."
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
            "The features of {{ $labels.view }} in use were computed {{ $value | humanizeDuration }} ago; a refresh "
            "runs every hour. Feeds ignore newer events, prices and stock."
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
            "The served bundle was made {{ $value | humanizeDuration }} ago; a release is due every day. New items are "
            "not recommended."
        ),
    ),
    Alert(
        name="KuberecLogRowsLost",
        # `increase` misses rows that a server lost before its first scrape; the part before `or` counts them.
        value=f"sum by (table, reason) ({_LOST} unless {_LOST} offset 15m or increase({_LOST}[15m]))",
        condition="> 0",
        lasting="0m",
        severity="ticket",
        summary="Rows of the log are lost",
        description=(
            '{{ $value | printf "%.0f" }} rows of {{ $labels.table }} were lost within 15 minutes '
            "({{ $labels.reason }}). Training and drift do not see them."
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
            "{{ $labels.instance }} has written no row to the log for 10 minutes, and rows are waiting. They stay on "
            "its disk until it is full."
        ),
    ),
    Alert(
        name="KuberecEventsRefused",
        value='sum(rate(recs_events_total{outcome=~"refused|failed"}[5m])) / sum(rate(recs_events_total[5m]))',
        condition="> 0.01",
        lasting="10m",
        severity="ticket",
        summary="Events are not accepted",
        description=(
            "{{ $value | humanizePercentage }} of the posted events were refused or could not be stored. They do not "
            "reach features and training."
        ),
    ),
)
