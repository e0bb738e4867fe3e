"""The dashboard rows about answers, and about bundles, features and the log."""

from __future__ import annotations

from monitoring.dashboards.model import Panel, Row, Series


def _quantile(quantile: float, buckets: str, *labels: str) -> str:
    kept = ", ".join((*labels, "le"))
    return f"histogram_quantile({quantile}, sum by ({kept}) (rate({buckets}[5m])))"


SERVICE = Row(
    "Service",
    (
        Panel(
            "Requests",
            "Requests per second, by surface and HTTP status. A 4xx is a client error, a 5xx a server error.",
            (Series("sum by (surface, code) (rate(recs_requests_total[5m]))", "{{surface}} {{code}}"),),
            "reqps",
        ),
        Panel(
            "Time of a request",
            "From the call to the body, without email. The objective is 100 ms for 99 % of the requests.",
            tuple(
                Series(_quantile(quantile, 'recs_request_seconds_bucket{surface!="email"}'), f"p{quantile * 100:.0f}")
                for quantile in (0.5, 0.95, 0.99)
            ),
            "s",
            limits=(0.1,),
        ),
        Panel(
            "Time of stages, 99 %",
            "Latency of each stage. `ranker` is the call of the predictor, `score` the time inside the predictor.",
            (Series(_quantile(0.99, "recs_stage_seconds_bucket", "stage"), "{{stage}}"),),
            "s",
        ),
        Panel(
            "Errors",
            "Share of requests answered with a 5xx; the limit is 0.1 %.",
            (Series("recs:errors:ratio_rate5m", "errors"),),
            "percentunit",
            limits=(0.001,),
        ),
        Panel(
            "Degraded, by reason",
            "Share of answers without a part that failed or was too late. No line means no failure.",
            (Series("recs:degraded:ratio_rate5m", "{{reason}}"),),
            "percentunit",
            limits=(0.01, 0.5),
        ),
        Panel(
            "Empty feeds",
            "Share of feeds without any item, by surface.",
            (Series("recs:empty:ratio_rate5m", "{{surface}}"),),
            "percentunit",
            limits=(0.01,),
        ),
        Panel(
            "Hourly traffic",
            "Compared with the same hour a week ago, or a day ago for a new system.",
            (
                Series("recs:requests:rate1h", "now"),
                Series("recs:requests:expected1h", "expected"),
            ),
            "reqps",
        ),
        Panel(
            "Candidates removed by filters",
            "Candidates per second, by filter. A jump of `availability` means that stock or regions changed.",
            (Series("sum by (reason) (rate(recs_filtered_total[5m]))", "{{reason}}"),),
            "rowsps",
        ),
        Panel(
            "Servers up",
            "Processes that Prometheus reaches.",
            (Series('sum by (job) (up{job=~"kuberec-.*"})', "{{job}}"),),
            kind="stat",
        ),
    ),
)

DATA = Row(
    "Bundle, features and log",
    (
        Panel(
            "Bundles in service",
            "Servers by bundle version. Predictors also keep the previous version; transformers swap within seconds.",
            (Series("count by (job, version) (recs_bundle_info)", "{{job}} {{version}}"),),
        ),
        Panel(
            "Swaps and failed loads",
            "Within the last hour, by server. After a failed load the previous bundle stays in service.",
            (
                Series("sum by (job) (increase(recs_bundle_swaps_total[1h]))", "{{job}} swaps"),
                Series("sum by (job) (increase(recs_bundle_failures_total[1h]))", "{{job}} failures"),
            ),
        ),
        Panel(
            "Age of the item index",
            "Age of the served bundle; one release a day keeps it under 24 hours.",
            (Series("max(recs_index_age_seconds)", "index"),),
            "s",
            limits=(86_400.0,),
        ),
        Panel(
            "Age of features",
            "Time since the features in use were computed, by view; a refresh runs every hour.",
            (Series("max by (view) (recs_feature_age_seconds)", "{{view}}"),),
            "s",
            limits=(10_800.0,),
        ),
        Panel(
            "Online store complete",
            "0 while a transformer finds the online store emptied, or finds fewer rows than were written.",
            (Series("min(recs_store_complete)", "complete"),),
            kind="stat",
        ),
        Panel(
            "Rows of the log",
            "Rows written per second, by table. An impression is a shown item, so a request writes about 20.",
            (Series("sum by (table) (rate(recs_log_rows_total[5m]))", "{{table}}"),),
            "rowsps",
        ),
        Panel(
            "Rows lost and waiting",
            "Rows lost within an hour, by table and reason, normally none; and rows that wait to be written.",
            (
                Series("sum by (table, reason) (increase(recs_log_lost_rows_total[1h]))", "lost {{table}}: {{reason}}"),
                Series("sum(recs_log_waiting_rows)", "waiting"),
            ),
            limits=(1.0,),
        ),
        Panel(
            "Events",
            "Posted events per second, by outcome.",
            (Series("sum by (outcome) (rate(recs_events_total[5m]))", "{{outcome}}"),),
            "reqps",
        ),
    ),
)
