"""Which release a transformer serves, and its renewal in the background.

A thread looks at the store's `current`. A new bundle is loaded and tried beside the one in use, and taken only when
the predictor holds it too, with the catalogue as it is then; so no request meets a ranker of another release, or prices
as of the release. The first bundle is taken at once, for a feed without ranker is better than none. At every look the
predictor hears which bundle is in use, so that it keeps that one however late this server turns, and so does the cache
of copies. A second thread renews the catalogue of the release in use. A bundle that cannot be loaded or answered from
is counted, logged and tried again after a while; the one in use stays, and a server that has none takes the one served
before.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from feature_repo.errors import BundleError, FeatureStoreError, KuberecError
from inference.bundles.bundle import REFUSED_SECONDS, Bundle
from inference.bundles.store import BundleStore
from inference.candidates.batch import Trace
from inference.candidates.timeouts import Timeouts
from inference.feature_store import Freshness
from inference.feature_store.catalogue_process import Reading
from inference.flow.executor import Executor
from inference.hydrators.protocol import UserReader
from inference.metrics import Metrics
from inference.models.artifacts import Artifacts
from inference.recommender import Recommender
from inference.recorders.protocol import Recorder
from inference.scorers.protocol import Scorer
from inference.server.trial import UNKNOWN_USER, try_out
from inference.stages import Stages

PATIENCE_SECONDS = 30.0  # the online store's first answer may take this long while nobody waits for it

log = logging.getLogger("kuberec")


@dataclass(frozen=True)
class Release:
    """One bundle in service; a request holds on to the one it began with.

    Attributes:
        bundle: What it was loaded from.
        reader: Its features in the online store.
        recommender: Answers queries.
        freshness: When the features of its catalogue were computed, None while they are those of the bundle.
    """

    bundle: Bundle
    reader: UserReader
    recommender: Recommender
    freshness: Freshness | None = None

    @property
    def artifacts(self) -> Artifacts:
        """What it recommends from."""
        return self.recommender.artifacts

    @property
    def computed_at(self) -> float:
        """Wall time at which its features were computed, unix seconds."""
        return self.bundle.manifest.created() if self.freshness is None else self.freshness.computed_at


class Releases:
    """Keeps the current release.

    Args:
        store: Where bundles are.
        open_reader: Opens the online features of a bundle's users.
        read_items: Reads the catalogue of a release from the online store, where it has changed; takes its time.
        scorer: The ranker behind every release.
        holds: Whether the predictor holds a version; asking tells it that the version is wanted.
        executor: Failure policy and threads of all requests.
        timeouts: Of the stages.
        metrics: Counts turns and ages.
        poll_seconds: How often `current` is looked at.
        items_seconds: How often is looked whether the catalogue was refreshed.
        recorders: Keep the slates of every release.
    """

    def __init__(
        self,
        store: BundleStore,
        open_reader: Callable[[Bundle, Artifacts], UserReader],
        read_items: Callable[[Release], Reading],
        scorer: Scorer,
        holds: Callable[[str], bool],
        executor: Executor,
        timeouts: Timeouts,
        metrics: Metrics,
        *,
        poll_seconds: float,
        items_seconds: float,
        recorders: Sequence[Recorder] = (),
    ) -> None:
        self._store = store
        self._open_reader = open_reader
        self._read_items = read_items
        self._scorer = scorer
        self._recorders = recorders
        self._holds = holds
        self._executor = executor
        self._timeouts = timeouts
        self._metrics = metrics
        self._release: Release | None = None
        self._changing = threading.Lock()
        self._waiting: Release | None = None
        self._refused_until: dict[str, float] = {}
        self._stop = threading.Event()
        self._started = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, args=(poll_seconds,), name="releases", daemon=True),
            threading.Thread(target=self._renew, args=(items_seconds,), name="catalogue", daemon=True),
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
        self._started.set()
        self._threads[0].join(timeout=5.0)

    def step(self) -> None:
        """Turns to the store's current bundle, if it is another one.

        Raises:
            BundleError: The store or the bundle cannot be read.
        """
        version = self._store.current()
        if self._release is not None:
            in_use = self._release.bundle.version
            self._holds(in_use)
            self._store.keep(in_use)
            if version in (None, in_use):
                self._waiting = None
                return
        if version is None:
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
        renewed = self._renewed(release)
        with self._changing:
            if self._release is not release:
                return  # turned to another bundle meanwhile
            self._release = renewed
        self._metrics.refreshed(renewed.computed_at)

    def _watch(self, seconds: float) -> None:
        while not self._stop.is_set():
            try:
                self.step()
            except KuberecError as error:
                self._metrics.load_failed()
                log.error("%s", error)
            except Exception:
                # The thread must live: the release in use goes on serving.
                self._metrics.load_failed()
                log.exception("looking for releases failed")
            self._stop.wait(seconds)

    def _renew(self, seconds: float) -> None:
        self._started.wait()  # the first release has the catalogue of its making
        while not self._stop.is_set():
            try:
                self.renew()
            except KuberecError as error:
                self._catalogue_failed(error)
            self._stop.wait(seconds)

    def _turn_to(self, version: str) -> None:
        if time.monotonic() < self._refused_until.get(version, 0.0):
            return
        if self._waiting is None or self._waiting.bundle.version != version:
            self._waiting = None  # one that was overtaken makes room first
            try:
                self._waiting = self._load(version)
            except BundleError:
                self._refused_until[version] = time.monotonic() + REFUSED_SECONDS
                raise
        if self._release is None:
            self._take(self._waiting)
            self._started.set()
        elif self._holds(version):
            try:
                self._take(self._renewed(self._waiting))
            except KuberecError as error:  # a rollback does not wait for an online store that is away
                self._catalogue_failed(error)
                self._take(self._waiting)

    def _take(self, release: Release) -> None:
        """Answers from a release from now on."""
        with self._changing:
            self._release = release
        self._waiting = None
        self._metrics.swapped(release.bundle.version, release.bundle.manifest.created())
        self._metrics.refreshed(release.computed_at)
        log.warning("serving bundle %s", release.bundle.version)

    def _load(self, version: str) -> Release:
        try:
            bundle = self._store.fetch(version)
            log_end = bundle.manifest.facts.log_end
            artifacts = bundle.artifacts()
            try_out(artifacts, log_end)
        except BundleError:
            raise
        except Exception as error:
            log.exception("the bundle %s does not answer", version)
            raise BundleError(f"The bundle {version} does not answer, make it again: {error!r}.") from error
        reader = self._open_reader(bundle, artifacts)
        # Opens the store, which takes its time; one that is away is no fault of the bundle's.
        self._executor.run(
            Trace(),
            "users",
            lambda: reader.users([UNKNOWN_USER], np.array([log_end])),
            reason="features",
            timeout=PATIENCE_SECONDS,
        )
        return Release(bundle, reader, self._recommender(artifacts, reader))

    def _renewed(self, release: Release) -> Release:
        """The release with the catalogue as the online store has it now."""
        try:
            reading = self._read_items(release)
        except KuberecError:
            raise
        except Exception as error:
            log.exception("the catalogue of bundle %s is not read", release.bundle.version)
            raise FeatureStoreError(
                f"The catalogue of bundle {release.bundle.version} is not read: {error!r}."
            ) from error
        if reading.items is release.artifacts.items:
            return release
        artifacts = replace(release.artifacts, items=reading.items)
        return replace(release, recommender=self._recommender(artifacts, release.reader), freshness=reading.freshness)

    def _catalogue_failed(self, error: KuberecError) -> None:
        """Counts and tells it; the release goes on with the catalogue it has."""
        if self._stop.is_set():  # its reader ended with the server
            return
        self._metrics.degraded("items")
        log.error("%s", error)

    def _recommender(self, artifacts: Artifacts, reader: UserReader) -> Recommender:
        stages = Stages.of(artifacts, reader, self._scorer, recorders=self._recorders)
        return Recommender(artifacts, stages, executor=self._executor, timeouts=self._timeouts)
