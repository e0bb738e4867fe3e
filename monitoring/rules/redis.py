"""Alerts about Redis, from its exporter: the online store of a cluster never evicts, so a full Redis refuses writes."""

from __future__ import annotations

from monitoring.rules.model import Alert

REDIS_JOB = "kuberec-redis"  # the `job` label of the scraped exporter

_OF_REDIS = f'{{job="{REDIS_JOB}"}}'

REDIS = (
    Alert(
        name="KuberecRedisDown",
        # Without an answer of the exporter there is no redis_up.
        value=f"(min(redis_up{_OF_REDIS}) or min(up{_OF_REDIS}))",
        condition="== 0",
        lasting="2m",
        severity="ticket",
        summary="Redis does not answer",
        description=(
            "Redis has not answered its exporter for 2 minutes. Users get popular items instead of a personal feed, "
            "and a refresh cannot write features."
        ),
    ),
    Alert(
        name="KuberecRedisFull",
        # A Redis without a limit reports 0.
        value=f"max(redis_memory_used_bytes{_OF_REDIS} / (redis_memory_max_bytes{_OF_REDIS} > 0))",
        condition="> 0.8",
        lasting="10m",
        severity="ticket",
        summary="Redis is almost full",
        description=(
            "Redis uses {{ $value | humanizePercentage }} of its maxmemory. When it is full, a refresh or the next "
            "release cannot write features and fails."
        ),
    ),
    Alert(
        name="KuberecRedisEvicts",
        value=f"sum(increase(redis_evicted_keys_total{_OF_REDIS}[15m]))",
        condition="> 0",
        lasting="0m",
        severity="ticket",
        summary="Redis evicts features",
        description=(
            'Redis evicted {{ $value | printf "%.0f" }} keys in 15 minutes. Evicted users and items have no features '
            "until the next refresh."
        ),
    ),
)
