"""The rankers that a predictor holds: the current bundle's, and those that transformers still use.

Each transformer switches to a new bundle, or back to an old bundle, at its own time. It names the bundle that it uses
with every call and every poll. So recently used rankers are kept, even above `num_held`; among the others the least
recently used ranker is evicted first. A bundle whose ranker cannot be loaded is counted, logged and retried later; the
rankers already held continue to serve.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from feature_repo.errors import BundleError, KuberecError, PredictorError
from inference.bundles.bundle import BUNDLE_RETRY_SECONDS
from inference.bundles.store import BundleStore
from inference.metrics import Metrics
from inference.scorers.protocol import Ranker

IN_USE_SECONDS = 60.0  # a bundle requested within this time is in use; transformers send requests or polls more often
NUM_TRIAL_ROWS = 16

log = logging.getLogger("kuberec")


@dataclass(slots=True)
class Held:
    """A ranker, and the time of its last request (`time.monotonic()`)."""

    ranker: Ranker
    asked: float


class Rankers:
    """Holds rankers in memory; a thread polls the store's `current`.

    Args:
        store: The bundle store.
        metrics: Counts loads and failures.
        num_threads: Threads of one ranking call.
        num_held: Number of bundles to hold; bundles in use are kept even above this number.
        poll_seconds: Time between two polls of `current`.
    """

    def __init__(
        self, store: BundleStore, metrics: Metrics, *, num_threads: int, num_held: int, poll_seconds: float
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._num_threads = num_threads
        self._num_held = num_held
        self._poll_seconds = poll_seconds
        self._held: Mapping[str, Held] = {}
        self._began = False
        self._refused_until: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rankers", daemon=True)

    def get(self, version: str) -> Ranker:
        """Returns the ranker of a bundle, and marks the bundle as in use.

        Raises:
            PredictorError: If the bundle is not held; the error names the bundle.
        """
        held = self._held.get(version)
        if held is None:
            raise PredictorError(
                f"The bundle {version!r} is not held here; held are {', '.join(self._held) or 'none'}."
            )
        held.asked = time.monotonic()
        return held.ranker

    def holds(self, version: str = "") -> bool:
        """Returns whether a bundle is held, and marks it as in use; without a version, whether any bundle is held."""
        if not version:
            return bool(self._held)
        held = self._held.get(version)
        if held is not None:
            held.asked = time.monotonic()
        return held is not None

    def start(self) -> None:
        """Starts to poll the store."""
        self._thread.start()

    def stop(self) -> None:
        """Stops polling."""
        self._stop.set()
        self._thread.join(timeout=5.0)

    def step(self) -> None:
        """Loads the current bundle (at start also the previous bundle), and evicts bundles that are not in use.

        Raises:
            BundleError: The store or a bundle cannot be read.
        """
        current = self._store.current()
        self._let_go(current)
        if current is not None and not self._began:
            self._began = True  # a bad previous bundle delays the current one by one poll only
            self._take(self._store.previous())
        self._take(current)

    def _take(self, version: str | None) -> None:
        if version is None or version in self._held or time.monotonic() < self._refused_until.get(version, 0.0):
            return
        try:
            ranker = self._load(version)
        except BundleError:
            self._refused_until[version] = time.monotonic() + BUNDLE_RETRY_SECONDS
            raise
        self._hold({**self._held, version: Held(ranker, time.monotonic())})

    def _load(self, version: str) -> Ranker:
        """Loads a ranker and scores trial rows, which checks its width and completes lazy initialisation."""
        try:
            bundle = self._store.fetch(version)
            ranker = bundle.ranker(self._num_threads)
            ranker.score(np.zeros((NUM_TRIAL_ROWS, len(bundle.feature_set.ranker_features)), dtype=np.float32))
        except BundleError:
            raise
        except Exception as error:
            log.exception("the ranker of bundle %s failed its trial", version)
            raise BundleError(f"The ranker of bundle {version} failed its trial, train again: {error!r}.") from error
        return ranker

    def _let_go(self, current: str | None) -> None:
        """Evicts idle rankers down to `num_held`, but never the current ranker or a ranker in use."""
        used = time.monotonic() - IN_USE_SECONDS
        idle = [version for version, held in self._held.items() if version != current and held.asked < used]
        idle.sort(key=lambda version: self._held[version].asked)
        gone = idle[: max(0, len(self._held) - self._num_held)]
        if gone:
            self._hold({version: held for version, held in self._held.items() if version not in gone})

    def _hold(self, held: Mapping[str, Held]) -> None:
        self._held = held
        self._metrics.holding(held)
        log.warning("holding bundles %s", ", ".join(held))

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self.step()
            except KuberecError as error:
                self._metrics.load_failed()
                log.error("%s", error)
            except Exception:
                # The thread must survive: the rankers already held continue to serve while the store is unreachable.
                self._metrics.load_failed()
                log.exception("polling the store for bundles failed")
            self._stop.wait(self._poll_seconds)
