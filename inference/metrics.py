"""Prometheus metrics of the servers, `recs_*`, on GET /metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

FEATURE_VIEWS = ("item_stats", "user_stats", "user_history")
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5)

LOST_REASONS = {"impressions": ("queue_full", "spool_full", "error", "damaged"), "interactions": ("damaged",)}
EVENT_OUTCOMES = ("accepted", "repeated", "refused", "failed")


class BundlesInUse(Collector):
    """`recs_bundle_info{version=}`, 1 for each bundle in use; an evicted bundle has no series."""

    def __init__(self) -> None:
        self.versions: tuple[str, ...] = ()

    def collect(self) -> Iterator[Metric]:
        """Yields one sample per bundle."""
        family = GaugeMetricFamily("recs_bundle_info", "1 for a bundle in use", labels=["version"])
        for version in self.versions:
            family.add_metric([version], 1)
        yield family


class Metrics:
    """The metrics of one server; implements `executor.Observer`.

    Args:
        registry: Registry of the metrics; KServe exposes the default registry.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._stages = Histogram("recs_stage_seconds", "Time of a stage", ["stage"], buckets=BUCKETS, registry=registry)
        self._seconds = Histogram(
            "recs_request_seconds", "Time of a request", ["surface"], buckets=BUCKETS, registry=registry
        )
        self._requests = Counter(
            "recs_requests", "Requests by surface and status", ["surface", "code"], registry=registry
        )
        self._degraded = Counter("recs_degraded", "Parts that failed open", ["reason"], registry=registry)
        self._filtered = Counter("recs_filtered", "Candidates that filters removed", ["reason"], registry=registry)
        self._empty = Counter("recs_empty", "Slates without an item", ["surface"], registry=registry)
        self._swaps = Counter("recs_bundle_swaps", "Switches to another bundle", registry=registry)
        self._failed_loads = Counter("recs_bundle_failures", "Bundles that could not be loaded", registry=registry)
        self._bundles = BundlesInUse()
        registry.register(self._bundles)
        self._feature_age = Gauge("recs_feature_age_seconds", "Age of the features in use", ["view"], registry=registry)
        self._index_age = Gauge("recs_index_age_seconds", "Age of the item index in use", registry=registry)
        self._store_complete = Gauge(
            "recs_store_complete", "0 while the online store is emptied or incomplete", registry=registry
        )
        self._store_complete.set(1)
        self._logged = Counter("recs_log_rows", "Rows written to the log", ["table"], registry=registry)
        self._lost = Counter("recs_log_lost_rows", "Rows lost to the log", ["table", "reason"], registry=registry)
        self._waiting = Gauge("recs_log_waiting_rows", "Rows waiting to be written to the log", registry=registry)
        self._events = Counter("recs_events", "Posted events by outcome", ["outcome"], registry=registry)
        for table, reasons in LOST_REASONS.items():  # start at 0: rate() misses the first loss of a new series
            self._logged.labels(table)
            for reason in reasons:
                self._lost.labels(table, reason)
        for outcome in EVENT_OUTCOMES:
            self._events.labels(outcome)

    def stage(self, name: str, seconds: float) -> None:
        """Records the time of a stage."""
        self._stages.labels(name).observe(seconds)

    def degraded(self, reason: str) -> None:
        """Counts a stage that failed open."""
        self._degraded.labels(reason).inc()

    def filtered(self, name: str, num: int) -> None:
        """Counts candidates that a filter removed."""
        self._filtered.labels(name).inc(num)

    def request(self, surface: str, code: int, seconds: float | None = None) -> None:
        """Counts a finished request; `surface` is a known surface, or "" if the request could not be parsed."""
        self._requests.labels(surface, str(code)).inc()
        if seconds is not None:
            self._seconds.labels(surface).observe(seconds)

    def empty(self, surface: str) -> None:
        """Counts a slate without items."""
        self._empty.labels(surface).inc()

    def swapped(self, version: str, index_made_at: float) -> None:
        """Counts a switch to another bundle, whose index was built at this wall time."""
        self._swaps.inc()
        self._index_age.set_function(_age(index_made_at))
        self.holding([version])

    def holding(self, versions: Iterable[str]) -> None:
        """Sets the bundles in use."""
        self._bundles.versions = tuple(versions)

    def load_failed(self) -> None:
        """Counts a bundle that could not be loaded; the previous bundle stays in use."""
        self._failed_loads.inc()

    def refreshed(self, at: float) -> None:
        """Sets the wall time at which the features in use were computed."""
        for view in FEATURE_VIEWS:
            self._feature_age.labels(view).set_function(_age(at))

    def store_state(self, is_complete: Callable[[], bool]) -> None:
        """Sets the function that returns whether the online store of the served bundle is complete."""
        self._store_complete.set_function(lambda: float(is_complete()))

    def logged(self, table: str, num: int) -> None:
        """Counts rows that were written to the log."""
        self._logged.labels(table).inc(num)

    def lost(self, table: str, reason: str, num: int) -> None:
        """Counts rows that will never be in the log."""
        self._lost.labels(table, reason).inc(num)

    def log_waits(self, num: Callable[[], float]) -> None:
        """Sets the function that returns the number of rows waiting for the log."""
        self._waiting.set_function(num)

    def events(self, outcome: str, num: int) -> None:
        """Counts posted events that were accepted, repeated (known by their id), refused, or could not be stored."""
        self._events.labels(outcome).inc(num)


def _age(moment: float) -> Callable[[], float]:
    return lambda: time.time() - moment
