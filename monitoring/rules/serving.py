"""Alerts about answers: whether there are any, how fast, how good."""

from __future__ import annotations

from monitoring.rules.model import Alert

TRANSFORMER, PREDICTOR = "kuberec-transformer", "kuberec-predictor"  # the `job` label of what is scraped

SERVING = (
    Alert(
        name="KuberecDown",
        value=f'(sum(up{{job="{TRANSFORMER}"}}) or vector(0))',
        condition="== 0",
        lasting="1m",
        severity="page",
        summary="No transformer is up: nobody gets a feed",
        description="Prometheus reaches no transformer, or knows of none. Every request for a feed fails.",
    ),
    Alert(
        name="KuberecTargetDown",
        value=f'up{{job=~"{TRANSFORMER}|{PREDICTOR}"}}',
        condition="== 0",
        lasting="5m",
        severity="ticket",
        summary="A server is down",
        description=(
            "{{ $labels.job }} at {{ $labels.instance }} has not answered Prometheus for 5 minutes. Others carry "
            "its share; without a predictor feeds go out in retrieval order."
        ),
    ),
    Alert(
        name="KuberecErrors",
        value="recs:errors:ratio_rate5m",
        condition="> 0.001",
        lasting="5m",
        severity="page",
        summary="Requests fail",
        description="{{ $value | humanizePercentage }} of requests got a 5xx over 5 minutes; 0.1% are allowed.",
    ),
    Alert(
        name="KuberecSlow",
        value='recs:request_seconds:p99_rate5m{surface!="email"}',  # mail is made in batches nobody waits for
        condition="> 0.1",
        lasting="10m",
        severity="page",
        summary="Feeds are slow",
        description=(
            "99% of the requests for {{ $labels.surface }} end within {{ $value | humanizeDuration }}; 100ms are "
            "promised."
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
            "No request for 10 minutes; at this hour there were "
            '{{ with query "recs:requests:expected1h" }}{{ . | first | value | printf "%.2f" }}{{ end }} a second '
            "a week (else a day) ago. The way to the servers is likely cut."
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
            "Requests of the last hour are {{ $value | humanizePercentage }} of those of the same hour a week (else a "
            "day) ago."
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
            "{{ $value | humanizePercentage }} of the answers had to do without the predictor. People get feeds in "
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
            "{{ $value | humanizePercentage }} of the answers had to do without the user's features. These people get "
            "what is popular, like strangers."
        ),
    ),
    Alert(
        name="KuberecDegraded",
        value="recs:degraded:ratio_rate5m",
        condition="> 0.01",
        lasting="10m",
        severity="ticket",
        summary="Answers lack a part",
        description=(
            "{{ $value | humanizePercentage }} of the answers went out without {{ $labels.reason }}, which failed or "
            "was too late."
        ),
    ),
    Alert(
        name="KuberecEmptyFeeds",
        value="recs:empty:ratio_rate5m",
        condition="> 0.01",
        lasting="10m",
        severity="ticket",
        summary="Feeds are empty",
        description="{{ $value | humanizePercentage }} of the feeds for {{ $labels.surface }} had no item at all.",
    ),
)
