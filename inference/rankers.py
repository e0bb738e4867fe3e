"""Which rankers a predictor holds: those of the current and the previous bundle, following the store.

A bundle whose ranker cannot be loaded is counted, logged and tried again after a while; what is held goes on ranking.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping

from feature_repo.errors import BundleError, KuberecError, PredictorError
from inference.bundle import REFUSED_SECONDS
from inference.metrics import Metrics
from inference.scorers.protocol import Ranker
from inference.store import BundleStore

log = logging.getLogger("kuberec")


class Rankers:
    """The rankers held, newest last; a thread follows the store's `current`.

    Args:
        store: Where bundles are.
        metrics: Counts turns and failures.
        num_threads: Threads of one ranking.
        num_held: Bundles held at a time.
        poll_seconds: How often `current` is looked at.
    """

    def __init__(
        self, store: BundleStore, metrics: Metrics, *, num_threads: int, num_held: int, poll_seconds: float
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._num_threads = num_threads
        self._num_held = num_held
        self._poll_seconds = poll_seconds
        self._held: Mapping[str, Ranker] = {}
        self._refused_until: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rankers", daemon=True)

    def get(self, version: str) -> Ranker:
        """The ranker of a bundle.

        Raises:
            PredictorError: If the bundle is not held; names it.
        """
        ranker = self._held.get(version)
        if ranker is None:
            raise PredictorError(
                f"The bundle {version!r} is not held here; held are {', '.join(self._held) or 'none'}."
            )
        return ranker

    def holds(self, version: str = "") -> bool:
        """Whether a bundle is held; any at all where none is named."""
        return version in self._held if version else bool(self._held)

    def newest(self) -> str:
        """The bundle taken last, "" while there is none."""
        return list(self._held)[-1] if self._held else ""

    def start(self) -> None:
        """Begins to follow the store."""
        self._thread.start()

    def stop(self) -> None:
        """Ends following."""
        self._stop.set()
        self._thread.join(timeout=5.0)

    def step(self) -> None:
        """Takes the previous bundle (at start only) and the current one, and lets the oldest go."""
        current = self._store.current()
        wanted = [current] if self._held else [self._store.previous(), current]
        for version in wanted:
            if version is None or version in self._held or time.monotonic() < self._refused_until.get(version, 0.0):
                continue
            self._take(version)

    def _take(self, version: str) -> None:
        try:
            ranker = self._store.fetch(version).ranker(self._num_threads)
        except BundleError as error:
            self._refused_until[version] = time.monotonic() + REFUSED_SECONDS
            self._metrics.load_failed()
            log.error("%s", error)
            return
        kept = list(self._held.items())[-(self._num_held - 1) :]
        self._held = {**dict(kept), version: ranker}
        log.warning("holding bundles %s", ", ".join(self._held))

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self.step()
            except KuberecError as error:
                self._metrics.load_failed()
                log.error("%s", error)
            except Exception:
                # The thread must live: what is held goes on ranking while the store is away.
                self._metrics.load_failed()
                log.exception("looking for bundles failed")
            self._stop.wait(self._poll_seconds)
