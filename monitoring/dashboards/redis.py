"""The dashboard row about Redis, from its exporter; empty if the features are in SQLite."""

from __future__ import annotations

from monitoring.dashboards.model import Panel, Row, Series

REDIS = Row(
    "Redis",
    (
        Panel(
            "Memory of Redis",
            "Share of maxmemory in use. A release fills features of a second bundle before old ones are removed.",
            (Series("max(redis_memory_used_bytes / (redis_memory_max_bytes > 0))", "memory"),),
            "percentunit",
            limits=(0.8, 0.95),
        ),
        Panel(
            "Evicted keys",
            "Keys evicted per second, normally none: an evicted user or item has no features until the next refresh.",
            (Series("sum(rate(redis_evicted_keys_total[5m]))", "evicted"),),
            limits=(1e-6,),
        ),
        Panel(
            "Redis answers",
            "1 while Redis answers its exporter.",
            (Series("min(redis_up)", "up"),),
            kind="stat",
        ),
    ),
)
