"""Histories of requests and servers."""

from __future__ import annotations

from tests.monitoring.alert_cases.case import Case

TRANSFORMER = 'up{job="kuberec-transformer",instance="t:8080"}'
PREDICTOR = 'up{job="kuberec-predictor",instance="p:8080"}'


def requests(values: str, code: str = "200", surface: str = "home") -> dict[str, str]:
    return {f'recs_requests_total{{surface="{surface}",code="{code}"}}': values}


def latencies(fast: str, all_of_them: str, surface: str = "home") -> dict[str, str]:
    name = f'recs_request_seconds_bucket{{surface="{surface}"'
    return {f'{name},le="0.05"}}': fast, f'{name},le="0.25"}}': all_of_them, f'{name},le="+Inf"}}': all_of_them}


def degraded(reason: str, values: str) -> dict[str, str]:
    return {**requests("0+600x60"), f'recs_degraded_total{{reason="{reason}"}}': values}


SERVING = (
    Case(
        "KuberecDown",
        "all of two transformers are away",
        {TRANSFORMER: "1x5 0x20", TRANSFORMER.replace("t:", "u:"): "1x5 0x20", PREDICTOR: "1x30"},
        "7m",
        says="Prometheus reaches no transformer, or has none to scrape. Every request for a feed fails.",
    ),
    Case(
        "KuberecDown",
        "nothing is scraped at all",
        {PREDICTOR: "1x30"},
        "1m",
        says="Prometheus reaches no transformer, or has none to scrape. Every request for a feed fails.",
    ),
    Case("KuberecDown", "one of two is away", {TRANSFORMER: "1x30", TRANSFORMER.replace("t:", "u:"): "0x30"}, "20m"),
    Case(
        "KuberecTargetDown",
        "the predictor is away",
        {TRANSFORMER: "1x30", PREDICTOR: "1x5 0x30"},
        "11m",
        {"job": "kuberec-predictor", "instance": "p:8080"},
        "kuberec-predictor at p:8080 has not answered Prometheus for 5 minutes. The other replicas take its "
        "requests; without any predictor feeds go out in retrieval order.",
    ),
    Case("KuberecTargetDown", "a restart of three minutes", {PREDICTOR: "1x5 0x3 1x30"}, "15m"),
    Case("KuberecTargetDown", "somebody else's server", {'up{job="shop"}': "0x30"}, "15m"),
    Case(
        "KuberecErrors",
        "one request in a hundred fails",
        {**requests("0+594x30"), **requests("0+6x30", code="500")},
        "6m",
        says="1% of the requests got a 5xx in 5 minutes; the limit is 0.1%.",
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
        "99% of the requests for home end within 230ms; the objective is 100ms.",
    ),
    Case("KuberecSlow", "one in a thousand does", latencies("0+5994x30", "0+6000x30"), "20m"),
    Case("KuberecSlow", "mails are slow", latencies("0+100x30", "0+600x30", surface="email"), "20m"),
    Case("KuberecSlow", "nobody asks", latencies("7x30", "9x30"), "20m"),
    Case(
        "KuberecNoTraffic",
        "a day of requests, then none",
        requests("0+60x1560 93600x60"),
        "1580m",
        says="No request for 10 minutes; the same hour had 1.00 a second a week ago (a day ago for a new system). The "
        "route to the servers is probably cut.",
    ),
    Case(
        "KuberecNoTraffic",
        "the servers were restarted and have counted nothing since",
        requests("0+60x1560 stale"),
        "1580m",
        says="No request for 10 minutes; the same hour had 1.00 a second a week ago (a day ago for a new system). The "
        "route to the servers is probably cut.",
    ),
    Case("KuberecNoTraffic", "a new system that nobody has asked yet", {TRANSFORMER: "1x60"}, "60m"),
    Case("KuberecNoTraffic", "requests as ever", requests("0+60x1600"), "1590m"),
    Case(
        "KuberecTrafficDown",
        "half of yesterday's requests",
        requests("0+60x1440 86400+30x300"),
        "1520m",
        says="The last hour had 50% of the requests of the same hour a week ago (a day ago for a new system).",
    ),
    Case("KuberecTrafficDown", "nine tenths of yesterday's", requests("0+60x1440 86400+54x300"), "1600m"),
    Case("KuberecTrafficDown", "half of very few", requests("0+6x1440 8640+3x300"), "1600m"),
    Case(
        "KuberecRankerAway",
        "every answer lacks the ranker",
        degraded("ranker", "0x10 0+600x40"),
        "16m",
        {"reason": "ranker"},
        "100% of the answers were made without the predictor. Users get feeds in retrieval order, which are clearly "
        "worse.",
    ),
    Case("KuberecRankerAway", "one in ten does", degraded("ranker", "0+60x60"), "30m"),
    Case(
        "KuberecFeaturesAway",
        "every answer lacks the user",
        degraded("features", "0x10 0+600x40"),
        "16m",
        {"reason": "features"},
        "100% of the answers were made without the user's features. These users get popular items instead of a "
        "personal feed.",
    ),
    Case("KuberecFeaturesAway", "one in ten does", degraded("features", "0+60x60"), "30m"),
    Case(
        "KuberecDegraded",
        "one answer in twenty lacks a source",
        degraded("covisitation", "0+30x60"),
        "11m",
        {"reason": "covisitation"},
        "5% of the answers went out without covisitation, which failed or exceeded its time limit.",
    ),
    Case("KuberecDegraded", "one in two hundred does", degraded("covisitation", "0+3x60"), "30m"),
    Case("KuberecDegraded", "the catalogue cannot be read: no answer lacks it", degraded("items", "0+60x60"), "30m"),
    Case(
        "KuberecEmptyFeeds",
        "one feed in fifty is empty",
        {**requests("0+600x30"), 'recs_empty_total{surface="home"}': "0+12x30"},
        "11m",
        {"surface": "home"},
        "2% of the feeds for home had no items.",
    ),
    Case(
        "KuberecEmptyFeeds",
        "one in a thousand is",
        {**requests("0+6000x30"), 'recs_empty_total{surface="home"}': "0+6x30"},
        "20m",
    ),
)
