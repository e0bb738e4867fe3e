"""Alerts about the answers of the servers: availability, latency and quality."""

from __future__ import annotations

from monitoring.rules.model import Alert

TRANSFORMER, PREDICTOR = "kuberec-transformer", "kuberec-predictor"  # the `job` label of the scraped servers

SERVING = (
    Alert(
        name="KuberecDown",
        value=f'(sum(up{{job="{TRANSFORMER}"}}) or vector(0))',
        condition="== 0",
        lasting="1m",
        severity="page",
        summary="No transformer is up, so users get no feed",
        description="Prometheus reaches no transformer, or has none to scrape. Every request for a feed fails.",
    ),
    Alert(
        name="KuberecTargetDown",
        value=f'up{{job=~"{TRANSFORMER}|{PREDICTOR}"}}',
        condition="== 0",
        lasting="5m",
        severity="ticket",
        summary="A server is down",
        description=(
            "{{ $labels.job }} at {{ $labels.instance }} has not answered Prometheus for 5 minutes. The other replicas "
            "take its requests; without any predictor feeds go out in retrieval order."
        ),
    ),
    Alert(
        name="KuberecErrors",
        value="recs:errors:ratio_rate5m",
        condition="> 0.001",
        lasting="5m",
        severity="page",
        summary="Requests fail",
        description="{{ $value | humanizePercentage }} of the requests got a 5xx in 5 minutes; the limit is 0.1%.",
    ),
    Alert(
        name="KuberecSlow",
        value='recs:request_seconds:p99_rate5m{surface!="email"}',  # email is made in batches, without a waiting user
        condition="> 0.1",
        lasting="10m",
        severity="page",
        summary="Feeds are slow",
        description=(
            "99% of the requests for {{ $labels.surface }} end within {{ $value | humanizeDuration }}; the objective "
            "is 100ms."
        ),
    ),
    Alert(
        name="KuberecNoTraffic",
        value="recs:requests:rate5m",
        condition="== 0 and on () recs:requests:expected1h > 0.02",
        lasting="10m",
        severity="page",
        summary="No requests arrive",
        description=(
            "No request for 10 minutes; the same hour had "
            '{{ with query "recs:requests:expected1h" }}{{ . | first | value | printf "%.2f" }}{{ end }} a second '
            "a week ago (a day ago for a new system). The route to the servers is probably cut."
        ),
    ),
    Alert(
        name="KuberecTrafficDown",
        value="recs:requests:rate1h / on () recs:requests:expected1h",
        condition="< 0.8 and on () recs:requests:expected1h > 0.2",
        lasting="30m",
        severity="ticket",
        summary="Fewer requests than usual",
        description=(
            "The last hour had {{ $value | humanizePercentage }} of the requests of the same hour a week ago (a day "
            "ago for a new system)."
        ),
    ),
    Alert(
        name="KuberecRankerAway",
        value='recs:degraded:ratio_rate5m{reason="ranker"}',
        condition="> 0.5",
        lasting="2m",
        severity="page",
        summary="Feeds go out unranked",
        description=(
            "{{ $value | humanizePercentage }} of the answers were made without the predictor. Users get feeds in "
            "retrieval order, which are clearly worse."
        ),
    ),
    Alert(
        name="KuberecFeaturesAway",
        value='recs:degraded:ratio_rate5m{reason="features"}',
        condition="> 0.5",
        lasting="2m",
        severity="page",
        summary="Users are not recognised: the online store does not answer",
        description=(
            "{{ $value | humanizePercentage }} of the answers were made without the user's features. These users get "
            "popular items instead of a personal feed."
        ),
    ),
    Alert(
        name="KuberecDegraded",
        value="recs:degraded:ratio_rate5m",
        condition="> 0.01",
        lasting="10m",
        severity="ticket",
        summary="Answers are degraded",
        description=(
            "{{ $value | humanizePercentage }} of the answers went out without {{ $labels.reason }}, which failed or "
            "exceeded its time limit."
        ),
    ),
    Alert(
        name="KuberecEmptyFeeds",
        value="recs:empty:ratio_rate5m",
        condition="> 0.01",
        lasting="10m",
        severity="ticket",
        summary="Feeds are empty",
        description="{{ $value | humanizePercentage }} of the feeds for {{ $labels.surface }} had no items.",
    ),
)
