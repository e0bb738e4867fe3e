"""Prometheus metrics of the servers, `recs_*`, on GET /metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5)


class BundlesInUse(Collector):
    """`recs_bundle_info{version=}`, 1 for each bundle in use; one that was let go has no series any more."""

    def __init__(self) -> None:
        self.versions: tuple[str, ...] = ()

    def collect(self) -> Iterator[Metric]:
        """One sample a bundle."""
        family = GaugeMetricFamily("recs_bundle_info", "1 for a bundle in use", labels=["version"])
        for version in self.versions:
            family.add_metric([version], 1)
        yield family


class Metrics:
    """What the stages and requests of one server are counted by; implements `executor.Observer`.

    Args:
        registry: Where the metrics are registered; KServe exposes the default one.
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
        self._filtered = Counter("recs_filtered", "Candidates a filter removed", ["reason"], registry=registry)
        self._empty = Counter("recs_empty", "Slates without an item", ["surface"], registry=registry)
        self._swaps = Counter("recs_bundle_swaps", "Turns to another bundle", registry=registry)
        self._failed_loads = Counter("recs_bundle_failures", "Bundles that could not be loaded", registry=registry)
        self._bundles = BundlesInUse()
        registry.register(self._bundles)
        self._feature_age = Gauge("recs_feature_age_seconds", "Age of the features in use", ["view"], registry=registry)
        self._index_age = Gauge("recs_index_age_seconds", "Age of the item index in use", registry=registry)

    def stage(self, name: str, seconds: float) -> None:
        """A stage took this long."""
        self._stages.labels(name).observe(seconds)

    def degraded(self, reason: str) -> None:
        """A stage failed open."""
        self._degraded.labels(reason).inc()

    def filtered(self, name: str, num: int) -> None:
        """A filter removed this many candidates."""
        self._filtered.labels(name).inc(num)

    def request(self, surface: str, code: int, seconds: float | None = None) -> None:
        """A request ended; `surface` is one the server knows, or "" where it was not understood."""
        self._requests.labels(surface, str(code)).inc()
        if seconds is not None:
            self._seconds.labels(surface).observe(seconds)

    def empty(self, surface: str) -> None:
        """A slate had no item."""
        self._empty.labels(surface).inc()

    def swapped(self, version: str, index_made_at: float) -> None:
        """The server turned to another bundle, whose index was made at this wall time."""
        self._swaps.inc()
        self._index_age.set_function(_age(index_made_at))
        self.holding([version])

    def holding(self, versions: Iterable[str]) -> None:
        """The bundles in use from now on."""
        self._bundles.versions = tuple(versions)

    def load_failed(self) -> None:
        """A bundle could not be loaded; the one before stays."""
        self._failed_loads.inc()

    def refreshed(self, view: str, at: float) -> None:
        """Features of a view were read at this wall time."""
        self._feature_age.labels(view).set_function(_age(at))


def _age(moment: float) -> Callable[[], float]:
    return lambda: time.time() - moment
