"""From when on every alert fires, what it says, and when it stays silent: histories for promtool, a value a minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TRANSFORMER = 'up{job="kuberec-transformer",instance="t:8080"}'
PREDICTOR = 'up{job="kuberec-predictor",instance="p:8080"}'


@dataclass(frozen=True)
class Case:
    """One alert over one history.

    Attributes:
        alert: Its name.
        why: What this history is.
        series: Series -> values, one a minute, as promtool writes them (`0+60x30`: 0, 60, ... 1800).
        at: The first minute it fires, or one at which it stays silent.
        labels: Of the alert that fires, without its severity.
        says: Its description; silence is expected where None.
    """

    alert: str
    why: str
    series: Mapping[str, str]
    at: str
    labels: Mapping[str, str] = field(default_factory=dict)
    says: str | None = None


def requests(values: str, code: str = "200", surface: str = "home") -> dict[str, str]:
    return {f'recs_requests_total{{surface="{surface}",code="{code}"}}': values}


def latencies(fast: str, all_of_them: str, surface: str = "home") -> dict[str, str]:
    name = f'recs_request_seconds_bucket{{surface="{surface}"'
    return {f'{name},le="0.05"}}': fast, f'{name},le="0.25"}}': all_of_them, f'{name},le="+Inf"}}': all_of_them}


def degraded(reason: str, values: str) -> dict[str, str]:
    return {**requests("0+600x60"), f'recs_degraded_total{{reason="{reason}"}}': values}


CASES = (
    # --- answers ---
    Case(
        "KuberecDown",
        "all of two transformers are away",
        {TRANSFORMER: "1x5 0x20", TRANSFORMER.replace("t:", "u:"): "1x5 0x20", PREDICTOR: "1x30"},
        "7m",
        says="Prometheus reaches no transformer, or knows of none. Every request for a feed fails.",
    ),
    Case(
        "KuberecDown",
        "nothing is scraped at all",
        {PREDICTOR: "1x30"},
        "1m",
        says="Prometheus reaches no transformer, or knows of none. Every request for a feed fails.",
    ),
    Case("KuberecDown", "one of two is away", {TRANSFORMER: "1x30", TRANSFORMER.replace("t:", "u:"): "0x30"}, "20m"),
    Case(
        "KuberecTargetDown",
        "the predictor is away",
        {TRANSFORMER: "1x30", PREDICTOR: "1x5 0x30"},
        "11m",
        {"job": "kuberec-predictor", "instance": "p:8080"},
        "kuberec-predictor at p:8080 has not answered Prometheus for 5 minutes. Others carry its share; without a "
        "predictor feeds go out in retrieval order.",
    ),
    Case("KuberecTargetDown", "a restart of three minutes", {PREDICTOR: "1x5 0x3 1x30"}, "15m"),
    Case("KuberecTargetDown", "somebody else's server", {'up{job="shop"}': "0x30"}, "15m"),
    Case(
        "KuberecErrors",
        "one request in a hundred fails",
        {**requests("0+594x30"), **requests("0+6x30", code="500")},
        "6m",
        says="1% of requests got a 5xx over 5 minutes; 0.1% are allowed.",
    ),
    Case("KuberecErrors", "one in two thousand", {**requests("0+1999x30"), **requests("0+1x30", code="503")}, "20m"),
    Case("KuberecErrors", "clients ask badly", {**requests("0+60x30"), **requests("0+60x30", code="422")}, "20m"),
    Case("KuberecErrors", "a single failure", {**requests("0+60x30"), **requests("0x10 1x20", code="500")}, "14m"),
    Case(
        "KuberecSlow",
        "one request in ten takes over 50 ms and up to 250",
        latencies("0+540x30", "0+600x30"),
        "11m",
        {"surface": "home"},
        "99% of the requests for home end within 230ms; 100ms are promised.",
    ),
    Case("KuberecSlow", "one in a thousand does", latencies("0+5994x30", "0+6000x30"), "20m"),
    Case("KuberecSlow", "mails are slow", latencies("0+100x30", "0+600x30", surface="email"), "20m"),
    Case("KuberecSlow", "nobody asks", latencies("7x30", "9x30"), "20m"),
    Case(
        "KuberecNoTraffic",
        "a day of requests, then none",
        requests("0+60x1560 93600x60"),
        "1580m",
        says="No request for 10 minutes; at this hour there were 1.00 a second a week (else a day) ago. The way to the "
        "servers is likely cut.",
    ),
    Case(
        "KuberecNoTraffic",
        "the servers were restarted and have counted nothing since",
        requests("0+60x1560 stale"),
        "1580m",
        says="No request for 10 minutes; at this hour there were 1.00 a second a week (else a day) ago. The way to the "
        "servers is likely cut.",
    ),
    Case("KuberecNoTraffic", "a new system that nobody has asked yet", {TRANSFORMER: "1x60"}, "60m"),
    Case("KuberecNoTraffic", "requests as ever", requests("0+60x1600"), "1590m"),
    Case(
        "KuberecTrafficDown",
        "half of yesterday's requests",
        requests("0+60x1440 86400+30x300"),
        "1520m",
        says="Requests of the last hour are 50% of those of the same hour a week (else a day) ago.",
    ),
    Case("KuberecTrafficDown", "nine tenths of yesterday's", requests("0+60x1440 86400+54x300"), "1600m"),
    Case("KuberecTrafficDown", "half of very few", requests("0+6x1440 8640+3x300"), "1600m"),
    Case(
        "KuberecRankerAway",
        "every answer lacks the ranker",
        degraded("ranker", "0x10 0+600x40"),
        "16m",
        {"reason": "ranker"},
        "100% of the answers had to do without the predictor. People get feeds in retrieval order, which are clearly "
        "worse.",
    ),
    Case("KuberecRankerAway", "one in ten does", degraded("ranker", "0+60x60"), "30m"),
    Case(
        "KuberecFeaturesAway",
        "every answer lacks the user",
        degraded("features", "0x10 0+600x40"),
        "16m",
        {"reason": "features"},
        "100% of the answers had to do without the user's features. These people get what is popular, like strangers.",
    ),
    Case("KuberecFeaturesAway", "one in ten does", degraded("features", "0+60x60"), "30m"),
    Case(
        "KuberecDegraded",
        "one answer in twenty lacks a source",
        degraded("covisitation", "0+30x60"),
        "11m",
        {"reason": "covisitation"},
        "5% of the answers went out without covisitation, which failed or was too late.",
    ),
    Case("KuberecDegraded", "one in two hundred does", degraded("covisitation", "0+3x60"), "30m"),
    Case("KuberecDegraded", "the catalogue cannot be read: no answer lacks it", degraded("items", "0+60x60"), "30m"),
    Case(
        "KuberecEmptyFeeds",
        "one feed in fifty is empty",
        {**requests("0+600x30"), 'recs_empty_total{surface="home"}': "0+12x30"},
        "11m",
        {"surface": "home"},
        "2% of the feeds for home had no item at all.",
    ),
    Case(
        "KuberecEmptyFeeds",
        "one in a thousand is",
        {**requests("0+6000x30"), 'recs_empty_total{surface="home"}': "0+6x30"},
        "20m",
    ),
    # --- what answers are made from, and the log ---
    Case(
        "KuberecBundleRefused",
        "a bad bundle is tried every minute",
        {'recs_bundle_failures_total{job="kuberec-predictor"}': "0x5 1+1x30"},
        "11m",
        {"job": "kuberec-predictor"},
        "kuberec-predictor fails to load a bundle or to read the store, 5 times in 5 minutes. What it held before "
        "stays in service.",
    ),
    Case("KuberecBundleRefused", "one hiccup", {'recs_bundle_failures_total{job="p"}': "0x5 1x30"}, "11m"),
    Case(
        "KuberecBundlesDiffer",
        "a transformer stays behind",
        {'recs_bundle_info{instance="t",version="b1"}': "1x60", 'recs_bundle_info{instance="u",version="b2"}': "1x60"},
        "15m",
        says="2 bundles are in service at once for 15 minutes; a swap takes seconds: b1 (1) b2 (1) ",
    ),
    Case(
        "KuberecBundlesDiffer",
        "a swap",
        {'recs_bundle_info{version="b1"}': "1x10 stale", 'recs_bundle_info{version="b2"}': "_x9 1x50"},
        "30m",
    ),
    Case(
        "KuberecFeaturesOld",
        "the last refresh was hours ago",
        {'recs_feature_age_seconds{view="item_stats"}': "7200+60x240"},
        "71m",
        {"view": "item_stats"},
        "The features of item_stats in use were computed 3h 11m 0s ago; they are refreshed every hour. Feeds do not "
        "know what people did since, nor new prices and stock.",
    ),
    Case("KuberecFeaturesOld", "refreshed hourly", {'recs_feature_age_seconds{view="item_stats"}': "3500x90"}, "60m"),
    Case(
        "KuberecIndexOld",
        "no release for over a day",
        {'recs_index_age_seconds{job="kuberec-transformer"}': "86400+60x120"},
        "61m",
        says="The bundle in service was made 1d 1h 1m 0s ago; training releases one a day. New items are not "
        "recommended.",
    ),
    Case("KuberecIndexOld", "a release after 24.5 hours", {"recs_index_age_seconds": "86400+60x30 0+60x90"}, "90m"),
    Case(
        "KuberecLogRowsLost",
        "the first loss of a server",
        {'recs_log_lost_rows_total{table="impressions",reason="queue_full"}': "_x20 40x60"},
        "20m",
        {"table": "impressions", "reason": "queue_full"},
        "40 rows of impressions were lost within 15 minutes (queue_full). Training and drift will not see them.",
    ),
    Case(
        "KuberecLogRowsLost",
        "a loss long ago",
        {'recs_log_lost_rows_total{table="impressions",reason="queue_full"}': "40x60"},
        "40m",
    ),
    Case(
        "KuberecLogRowsLost",
        "nothing is lost",
        {'recs_log_lost_rows_total{table="impressions",reason="queue_full"}': "0x60"},
        "40m",
    ),
    # --- drift ---
    Case(
        "KuberecDriftSignificant",
        "prices moved",
        {
            'recs_drift_features{dataset="shop",severity="significant"}': "2x10",
            'recs_drift_psi{feature="price"}': "1.5x10",
            'recs_drift_psi{feature="category"}': "0.4x10",
        },
        "0m",
        {"dataset": "shop"},
        says="2 features have a PSI of 0.2 or more. The largest: category 0.40; price 1.50; a retraining is started by "
        "itself, unless one ran just before.",
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
        says="The drift job last ended well 1d 2h 30m 0s ago (or never did); it runs once a day. Nobody watches the "
        "data.",
    ),
    Case(
        "KuberecDriftJobLate",
        "servers for over a day, never a drift job",
        {TRANSFORMER: "1x1700"},
        "1580m",
        says="The drift job last ended well 1d 2h 0m 1s ago (or never did); it runs once a day. Nobody watches the "
        "data.",
    ),
    Case("KuberecDriftJobLate", "a day-old run", {"recs_drift_last_run_timestamp_seconds": "0x1700"}, "1450m"),
    Case("KuberecDriftJobLate", "a system of an hour", {TRANSFORMER: "1x70"}, "60m"),
    Case(
        "KuberecRetrainingRefused",
        "the gate refused",
        {'recs_retraining_refused{dataset="shop"}': "0x5 1x10"},
        "6m",
        {"dataset": "shop"},
        says="Drift started a retraining, and no bundle came of it. The bundle before stays in service, on data it was "
        "not made for.",
    ),
    Case("KuberecRetrainingRefused", "the latest one was released", {"recs_retraining_refused": "1x5 0x10"}, "10m"),
)
