"""The release that a transformer serves, and its renewal in the background.

A thread polls the store's `current`. A new bundle is loaded and tried while the old bundle still serves. The server
switches when the predictor holds the new bundle too, and takes the current catalogue with it. So no request is ranked
by another release or shows outdated prices. The first bundle is served at once, because a feed without a ranker is
better than no feed.

Each poll reports the bundle in use to the predictor and to the cache of copies, so that neither evicts it before this
server switches. A second thread renews the catalogue of the served release. A bundle that fails to load or fails its
trial is counted, logged and retried later. Meanwhile the served bundle stays; a server without a bundle falls back to
the previous bundle.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from feature_repo.errors import BundleError, FeatureStoreError, KuberecError
from inference.bundles.bundle import BUNDLE_RETRY_SECONDS, Bundle
from inference.bundles.store import BundleStore
from inference.candidates.batch import Trace
from inference.candidates.timeouts import Timeouts
from inference.feature_store import Freshness
from inference.feature_store.catalogue_process import Reading
from inference.feature_store.store_state import StoreState
from inference.flow.executor import Executor
from inference.hydrators.protocol import UserReader
from inference.metrics import Metrics
from inference.models.artifacts import Artifacts
from inference.recommender import Recommender
from inference.recorders.protocol import Recorder
from inference.scorers.protocol import Scorer
from inference.server.trial import UNKNOWN_USER, try_out
from inference.stages import Stages

FIRST_READ_SECONDS = 30.0  # timeout of the first read from the online store; no request waits for it

log = logging.getLogger("kuberec")


@dataclass(frozen=True)
class Release:
    """A served bundle; a request uses the same release from start to end.

    Attributes:
        bundle: The bundle that the release was loaded from.
        reader: Reads the users' features from the online store.
        recommender: Answers queries.
        store: Whether the online store of the bundle is complete.
        freshness: When the catalogue's features were computed, None while they are the bundle's own.
        gaps: What the store lacked when the catalogue was read; "" if it was complete.
    """

    bundle: Bundle
    reader: UserReader
    recommender: Recommender
    store: StoreState
    freshness: Freshness | None = None
    gaps: str = ""

    @property
    def artifacts(self) -> Artifacts:
        """The models and tables of the recommender."""
        return self.recommender.artifacts

    @property
    def computed_at(self) -> float:
        """Wall time at which the features were computed, unix seconds."""
        return self.bundle.manifest.created() if self.freshness is None else self.freshness.computed_at


class Releases:
    """Keeps the current release up to date.

    Args:
        store: The bundle store.
        open_reader: Opens the online features of a bundle's users.
        read_items: Reads the catalogue of a release from the online store if it has changed; slow.
        scorer: Calls the ranker; shared by all releases.
        holds: Asks the predictor whether it holds a version; the predictor then marks the version as in use.
        executor: Failure policy and threads of all requests.
        timeouts: Time limits of the stages.
        metrics: Counts switches and failures, and reports ages.
        poll_seconds: Time between two polls of `current`.
        items_seconds: Time between two checks whether the catalogue was refreshed.
        recorders: Record the slates of every release.
    """

    def __init__(
        self,
        store: BundleStore,
        open_reader: Callable[[Bundle, Artifacts, StoreState], UserReader],
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
        """Returns the release to answer with, None before the first release is loaded."""
        return self._release

    def start(self) -> None:
        """Starts to poll the store."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stops polling, without waiting for a catalogue read in progress."""
        self._stop.set()
        self._started.set()
        self._threads[0].join(timeout=5.0)

    def step(self) -> None:
        """Switches to the store's current bundle if it has changed.

        Raises:
            BundleError: The store or the bundle cannot be read, or the store was emptied; the served release stays.
        """
        version = self._store.current()
        if self._release is not None:
            in_use = self._release.bundle.version
            self._holds(in_use)
            self._store.keep(in_use)
            if version == in_use:
                self._waiting = None
                return
            if version is None:
                raise BundleError(
                    f"The store {self._store.url} names no current bundle any more, so it was emptied: bundle {in_use} "
                    "stays in service; release a bundle again."
                )
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
        """Replaces the catalogue of the served release with the online store's current one.

        Raises:
            KuberecError: The catalogue cannot be read; the old catalogue stays.
        """
        release = self._release
        if release is None:
            return
        renewed = self._renewed(release)
        with self._changing:
            if self._release is not release:
                return  # another bundle is served by now
            self._release = renewed
        self._metrics.refreshed(renewed.computed_at)

    def _watch(self, seconds: float) -> None:
        said = ""
        while not self._stop.is_set():
            try:
                self.step()
                said = ""
            except KuberecError as error:
                self._metrics.load_failed()
                if str(error) != said:  # one line for a failure that lasts; the metric counts every poll
                    log.error("%s", error)
                said = str(error)
            except Exception:
                # The thread must survive: the current release continues to serve.
                self._metrics.load_failed()
                log.exception("polling the store for releases failed")
            self._stop.wait(seconds)

    def _renew(self, seconds: float) -> None:
        self._started.wait()  # the first release starts with the catalogue of its bundle
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
            self._waiting = None  # an outdated release is freed first
            try:
                self._waiting = self._load(version)
            except BundleError:
                self._refused_until[version] = time.monotonic() + BUNDLE_RETRY_SECONDS
                raise
        if self._release is None:
            self._take(self._waiting)
            self._started.set()
        elif self._holds(version):
            try:
                self._take(self._renewed(self._waiting))
            except KuberecError as error:  # a rollback must not wait for an unreachable online store
                self._catalogue_failed(error)
                self._take(self._waiting)

    def _take(self, release: Release) -> None:
        """Makes a release the current one."""
        with self._changing:
            self._release = release
        self._waiting = None
        self._metrics.swapped(release.bundle.version, release.bundle.manifest.created())
        self._metrics.refreshed(release.computed_at)
        self._metrics.store_state(lambda: not release.store.fault)
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
            log.exception("the bundle %s failed its trial", version)
            raise BundleError(f"The bundle {version} failed its trial, train again: {error!r}.") from error
        state = StoreState()
        reader = self._open_reader(bundle, artifacts, state)
        # The first read opens the store, which is slow. An unreachable store does not make the bundle invalid.
        self._executor.run(
            Trace(),
            "users",
            lambda: reader.users([UNKNOWN_USER], np.array([log_end])),
            reason="features",
            timeout=FIRST_READ_SECONDS,
        )
        return Release(bundle, reader, self._recommender(artifacts, reader), state)

    def _renewed(self, release: Release) -> Release:
        """Returns the release with the online store's current catalogue and popular list."""
        try:
            reading = self._read_items(release)
        except KuberecError:
            raise
        except Exception as error:
            log.exception("the catalogue of bundle %s cannot be read", release.bundle.version)
            raise FeatureStoreError(
                f"The catalogue of bundle {release.bundle.version} cannot be read: {error!r}."
            ) from error
        release.store.report(reading.fault)
        if reading.items is release.artifacts.items:
            return release
        artifacts = replace(release.artifacts, items=reading.items)
        if reading.popularity is not None:
            artifacts = artifacts.with_parts(reading.popularity)
        recommender = self._recommender(artifacts, release.reader)
        return replace(release, recommender=recommender, freshness=reading.freshness, gaps=reading.gaps)

    def _catalogue_failed(self, error: KuberecError) -> None:
        """Counts and logs the failure; the release keeps its old catalogue."""
        if self._stop.is_set():  # the server stops, and the reader with it
            return
        self._metrics.degraded("items")
        log.error("%s", error)

    def _recommender(self, artifacts: Artifacts, reader: UserReader) -> Recommender:
        stages = Stages.of(artifacts, reader, self._scorer, recorders=self._recorders)
        return Recommender(artifacts, stages, executor=self._executor, timeouts=self._timeouts)
