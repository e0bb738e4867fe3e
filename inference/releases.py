"""Which release a transformer serves, and its renewal in the background.

A thread looks at the store's `current`. A new bundle is loaded and warmed beside the one in use, and taken only when
the predictor holds it too, so that no request meets a ranker of another release; the first bundle is taken at once,
for a feed without ranker is better than none. A second thread renews the catalogue of the release in use. A bundle
that cannot be loaded is counted, logged and tried again after a while; the one in use stays, and a server that has
none takes the one served before.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from feature_repo.errors import BundleError, KuberecError
from feature_repo.state import ItemColumns
from inference.artifacts import Artifacts
from inference.bundle import REFUSED_SECONDS, Bundle
from inference.executor import Executor
from inference.metrics import Metrics
from inference.query import SURFACES, Query
from inference.recommender import Recommender, UserReader
from inference.scorers.protocol import Scorer
from inference.store import BundleStore
from inference.timeouts import Timeouts

log = logging.getLogger("kuberec")


@dataclass(frozen=True)
class Release:
    """One bundle in service; a request holds on to the one it began with.

    Attributes:
        bundle: What it was loaded from.
        reader: Its features in the online store.
        recommender: Answers queries.
    """

    bundle: Bundle
    reader: UserReader
    recommender: Recommender

    @property
    def artifacts(self) -> Artifacts:
        """What it recommends from."""
        return self.recommender.artifacts


class Releases:
    """Keeps the current release.

    Args:
        store: Where bundles are.
        open_reader: Opens the online features of a bundle's users.
        read_items: Reads the catalogue of a release from the online store; takes its time.
        scorer: The ranker behind every release.
        holds: Whether the predictor holds a version.
        executor: Failure policy and threads of all requests.
        timeouts: Of the stages.
        metrics: Counts turns and ages.
        poll_seconds: How often `current` is looked at.
        items_seconds: How often the catalogue is read again.
    """

    def __init__(
        self,
        store: BundleStore,
        open_reader: Callable[[Bundle, Artifacts], UserReader],
        read_items: Callable[[Release], ItemColumns],
        scorer: Scorer,
        holds: Callable[[str], bool],
        executor: Executor,
        timeouts: Timeouts,
        metrics: Metrics,
        *,
        poll_seconds: float,
        items_seconds: float,
    ) -> None:
        self._store = store
        self._open_reader = open_reader
        self._read_items = read_items
        self._scorer = scorer
        self._holds = holds
        self._executor = executor
        self._timeouts = timeouts
        self._metrics = metrics
        self._release: Release | None = None
        self._changing = threading.Lock()
        self._waiting: Release | None = None
        self._refused_until: dict[str, float] = {}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(self.step, poll_seconds, 0.0), name="releases", daemon=True),
            threading.Thread(
                target=self._repeat, args=(self.renew, items_seconds, items_seconds), name="catalogue", daemon=True
            ),
        ]

    def current(self) -> Release | None:
        """The release to answer with, None before the first one is loaded."""
        return self._release

    def start(self) -> None:
        """Begins to watch the store."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends watching; a catalogue being read is not waited for."""
        self._stop.set()
        self._threads[0].join(timeout=5.0)

    def step(self) -> None:
        """Turns to the store's current bundle, if it is another one.

        Raises:
            BundleError: The store or the bundle cannot be read.
        """
        version = self._store.current()
        if version is None or (self._release is not None and version == self._release.bundle.version):
            return
        try:
            self._turn_to(version)
        except BundleError:
            before = self._store.previous()
            if self._release is None and before is not None:
                self._turn_to(before)
            raise

    def renew(self) -> None:
        """Puts the catalogue as the online store has it now into the release in use.

        Raises:
            KuberecError: It cannot be read; the catalogue stays as it was.
        """
        release = self._release
        if release is None:
            return
        started = time.time()
        artifacts = replace(release.artifacts, items=self._read_items(release))
        renewed = Release(release.bundle, release.reader, self._recommender(artifacts, release.reader))
        with self._changing:
            if self._release is not release:
                return  # turned to another bundle meanwhile
            self._release = renewed
        self._metrics.refreshed("item_stats", started)

    def _repeat(self, work: Callable[[], None], seconds: float, first: float) -> None:
        self._stop.wait(first)
        while not self._stop.is_set():
            try:
                work()
            except KuberecError as error:
                self._metrics.load_failed() if work == self.step else self._metrics.degraded("items")
                log.error("%s", error)
            except Exception:
                # The thread must live: a release that cannot be renewed goes on serving.
                log.exception("looking after the release failed")
            self._stop.wait(seconds)

    def _turn_to(self, version: str) -> None:
        if time.monotonic() < self._refused_until.get(version, 0.0):
            return
        if self._waiting is None or self._waiting.bundle.version != version:
            try:
                self._waiting = self._load(version)
            except BundleError:
                self._refused_until[version] = time.monotonic() + REFUSED_SECONDS
                raise
        if self._release is None or self._holds(version):
            release, self._waiting = self._waiting, None
            with self._changing:
                self._release = release
            made = release.bundle.manifest.created()
            self._metrics.swapped(made)
            self._metrics.refreshed("item_stats", made)
            log.warning("serving bundle %s", version)

    def _load(self, version: str) -> Release:
        bundle = self._store.fetch(version)
        artifacts = bundle.artifacts()
        reader = self._open_reader(bundle, artifacts)
        release = Release(bundle, reader, self._recommender(artifacts, reader))
        self._warm(release)
        return release

    def _recommender(self, artifacts: Artifacts, reader: UserReader) -> Recommender:
        return Recommender(artifacts, reader, self._scorer, executor=self._executor, timeouts=self._timeouts)

    def _warm(self, release: Release) -> None:
        """Runs every stage once, so that the first request does not pay for lazy work."""
        patient = Timeouts(users=30.0, sources=30.0, ranker=30.0)
        recommender = Recommender(release.artifacts, release.reader, None, executor=self._executor, timeouts=patient)
        seed = str(release.artifacts.items.item_ids[0])
        moment = release.bundle.manifest.facts.log_end
        recommender.recommend([Query("", moment, surface=surface, item_id=seed) for surface in SURFACES])
