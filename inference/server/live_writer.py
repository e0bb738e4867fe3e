"""Writes accepted events to the live record, so that the user's next request knows them.

The log is what counts: an event that cannot be written to the live record is accepted anyway, and reaches the features
with the next refresh. After a failure the writer pauses, so that posts do not wait for a store that is away.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from feature_repo.errors import FeatureStoreError
from inference.api.events import Event
from inference.bundles.bundle import Bundle
from inference.feature_store import LiveEvent, LiveStore, StoreSettings, live_store
from inference.metrics import Metrics

MARK = "live"  # the reason in `recs_degraded_total`
PAUSE_SECONDS = 2.0

log = logging.getLogger("kuberec")


class LiveWriter:
    """Appends events to the live record of a bundle's dataset. Thread-safe.

    Args:
        place: Returns the location of a bundle's features.
        metrics: Counts posts whose events are not in the live record.
    """

    def __init__(self, place: Callable[[Bundle], StoreSettings], metrics: Metrics) -> None:
        self._place, self._metrics = place, metrics
        self._stores: dict[StoreSettings, LiveStore] = {}
        self._next_attempt = 0.0
        self._lock = threading.Lock()

    def write(self, bundle: Bundle, events: Sequence[Event]) -> None:
        """Appends accepted events; a failure is counted and logged, not raised."""
        if time.monotonic() < self._next_attempt:
            self._metrics.degraded(MARK)
            return
        rows = [
            LiveEvent(event.user_id, event.event_id, event.item_id, event.event_type, event.timestamp)
            for event in events
            if event.timestamp is not None
        ]
        try:
            self._store(bundle).append(rows)
        except FeatureStoreError as error:
            self._next_attempt = time.monotonic() + PAUSE_SECONDS
            self._metrics.degraded(MARK)
            log.error("accepted events reach the features only with the next refresh: %s", error)

    def _store(self, bundle: Bundle) -> LiveStore:
        place = self._place(bundle)
        with self._lock:
            if place not in self._stores:
                self._stores[place] = live_store(place)
            return self._stores[place]
