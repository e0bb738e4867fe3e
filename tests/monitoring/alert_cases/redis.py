"""Histories of Redis, as its exporter shows them."""

from __future__ import annotations

from tests.monitoring.alert_cases.case import Case

JOB = '{job="kuberec-redis"}'
GIB = 1 << 30
DOWN = (
    "Redis has not answered its exporter for 2 minutes. Users get popular items instead of a personal feed, and a "
    "refresh cannot write features."
)

REDIS = (
    Case(
        "KuberecRedisDown",
        "Redis stops and its exporter does not",
        {"redis_up" + JOB: "1x5 0x30", "up" + JOB: "1x35"},
        "8m",
        says=DOWN,
    ),
    Case(
        "KuberecRedisDown",
        "the whole pod stops",
        {"redis_up" + JOB: "1x5 stale", "up" + JOB: "1x5 0x30"},
        "8m",
        says=DOWN,
    ),
    Case("KuberecRedisDown", "it answers", {"redis_up" + JOB: "1x30", "up" + JOB: "1x30"}, "20m"),
    Case("KuberecRedisDown", "another Redis is down", {'redis_up{job="other"}': "0x30"}, "20m"),
    Case(
        "KuberecRedisFull",
        "a training fills it",
        {
            "redis_memory_used_bytes" + JOB: f"{GIB}x5 {2.7 * GIB:.0f}x30",
            "redis_memory_max_bytes" + JOB: f"{3 * GIB}x35",
        },
        "16m",
        says="Redis uses 90% of its maxmemory. When it is full, a refresh or the next release cannot write features "
        "and fails.",
    ),
    Case(
        "KuberecRedisFull",
        "a Redis without a limit",
        {"redis_memory_used_bytes" + JOB: f"{GIB}x30", "redis_memory_max_bytes" + JOB: "0x30"},
        "20m",
    ),
    Case(
        "KuberecRedisEvicts",
        "the policy was changed",
        {"redis_evicted_keys_total" + JOB: "0x5 15+15x30"},
        "6m",
        says="Redis evicted 15 keys in 15 minutes. Evicted users and items have no features until the next refresh.",
    ),
    Case("KuberecRedisEvicts", "nothing is evicted", {"redis_evicted_keys_total" + JOB: "7x30"}, "20m"),
)
