"""Which rankers a predictor holds, following the store: the current bundle's, and those that somebody still uses.

Transformers turn to a new bundle at moments of their own, or back to an old one, and say with every call, and with
every look at the store, which one they use. So what was asked for of late is kept, beyond the number held at rest too;
of the others the one that nobody has asked for the longest time goes first. A bundle whose ranker cannot be loaded is
counted, logged and tried again after a while; what is held goes on ranking.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from feature_repo.errors import BundleError, KuberecError, PredictorError
from inference.bundles.bundle import REFUSED_SECONDS
from inference.bundles.store import BundleStore
from inference.metrics import Metrics
from inference.scorers.protocol import Ranker

KEPT_SECONDS = 60.0  # a bundle that was asked for within this time is in use: the longest a transformer is silent
NUM_TRIED = 16

log = logging.getLogger("kuberec")


@dataclass(slots=True)
class Held:
    """A ranker, and when somebody asked for it last (`time.monotonic()`)."""

    ranker: Ranker
    asked: float


class Rankers:
    """The rankers held; a thread follows the store's `current`.

    Args:
        store: Where bundles are.
        metrics: Counts turns and failures.
        num_threads: Threads of one ranking.
        num_held: Bundles held at rest.
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
        self._held: Mapping[str, Held] = {}
        self._began = False
        self._refused_until: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rankers", daemon=True)

    def get(self, version: str) -> Ranker:
        """The ranker of a bundle.

        Raises:
            PredictorError: If the bundle is not held; names it.
        """
        held = self._held.get(version)
        if held is None:
            raise PredictorError(
                f"The bundle {version!r} is not held here; held are {', '.join(self._held) or 'none'}."
            )
        held.asked = time.monotonic()
        return held.ranker

    def holds(self, version: str = "") -> bool:
        """Whether a bundle is held, and a sign that it is wanted; any at all where none is named."""
        if not version:
            return bool(self._held)
        held = self._held.get(version)
        if held is not None:
            held.asked = time.monotonic()
        return held is not None

    def start(self) -> None:
        """Begins to follow the store."""
        self._thread.start()

    def stop(self) -> None:
        """Ends following."""
        self._stop.set()
        self._thread.join(timeout=5.0)

    def step(self) -> None:
        """Takes the current bundle (at start the one before it too), and lets go what nobody uses.

        Raises:
            BundleError: The store or a bundle cannot be read.
        """
        current = self._store.current()
        self._let_go(current)
        if current is not None and not self._began:
            self._began = True  # a bad one before keeps the current one out for a look, not for good
            self._take(self._store.previous())
        self._take(current)

    def _take(self, version: str | None) -> None:
        if version is None or version in self._held or time.monotonic() < self._refused_until.get(version, 0.0):
            return
        try:
            ranker = self._load(version)
        except BundleError:
            self._refused_until[version] = time.monotonic() + REFUSED_SECONDS
            raise
        self._hold({**self._held, version: Held(ranker, time.monotonic())})

    def _load(self, version: str) -> Ranker:
        """The ranker, after it has ranked once: rows of its feature set, and without lazy work left."""
        try:
            bundle = self._store.fetch(version)
            ranker = bundle.ranker(self._num_threads)
            ranker.score(np.zeros((NUM_TRIED, len(bundle.feature_set.ranker_features)), dtype=np.float32))
        except BundleError:
            raise
        except Exception as error:
            log.exception("the ranker of bundle %s does not rank", version)
            raise BundleError(f"The ranker of bundle {version} does not rank, make it again: {error!r}.") from error
        return ranker

    def _let_go(self, current: str | None) -> None:
        """Down to the number held at rest, but never the current one or one in use."""
        used = time.monotonic() - KEPT_SECONDS
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
                # The thread must live: what is held goes on ranking while the store is away.
                self._metrics.load_failed()
                log.exception("looking for bundles failed")
            self._stop.wait(self._poll_seconds)
