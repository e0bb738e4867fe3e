"""The parts behind the transformer's routes: opened from the settings, started and closed together.

Decides which online features, catalogue and predictor serve a release. The module is independent of the web framework.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial

from feature_repo.errors import KuberecError
from inference.api.clock import Clock
from inference.bundles.bundle import Bundle
from inference.bundles.store import BundleStore
from inference.candidates.timeouts import Timeouts
from inference.feature_store import OnlineFeatures, StoreSettings
from inference.feature_store.catalogue_process import CatalogueKey, CatalogueProcess, Reading
from inference.feature_store.late_reader import LateReader
from inference.feature_store.store_state import StoreState
from inference.flow.executor import Executor
from inference.hydrators.protocol import UserReader
from inference.log.reader import latest
from inference.log.writer import LogWriter
from inference.metrics import Metrics
from inference.models.artifacts import Artifacts
from inference.recorders.served_log import LogRecorder
from inference.scorers.remote import RemoteScorer
from inference.server.live_writer import LiveWriter
from inference.server.releases import Release, Releases
from inference.server.service import Service
from inference.settings import ServingSettings


@dataclass(frozen=True)
class Backend:
    """The parts that answer requests; `close` ends them with the server.

    Attributes:
        service: Answers checked requests.
        releases: Polls the bundle store once started.
        catalogue: Reads the catalogue in a separate process.
        executor: Runs the stages in threads.
        scorer: The connection to the predictor.
        log: Writes served slates and posted events; None without a log.
    """

    service: Service
    releases: Releases
    catalogue: CatalogueProcess
    executor: Executor
    scorer: RemoteScorer
    log: LogWriter | None

    @classmethod
    def open(cls, settings: ServingSettings, metrics: Metrics) -> Backend:
        """Creates and connects the parts without starting them."""
        executor = Executor(strict=False, threads=4 * settings.request_threads, observer=metrics)
        scorer = RemoteScorer(settings.predictor)
        catalogue = CatalogueProcess()
        log = _log(settings, metrics) if settings.log else None
        releases = Releases(
            BundleStore(settings.store, settings.cache),
            partial(_open_reader, settings=settings),
            partial(_read_items, catalogue=catalogue, settings=settings),
            scorer,
            scorer.holds,
            executor,
            Timeouts(settings.users_seconds, settings.sources_seconds, settings.ranker_seconds),
            metrics,
            poll_seconds=settings.poll_seconds,
            items_seconds=settings.items_seconds,
            recorders=() if log is None else (LogRecorder(log),),
        )
        clock = Clock(settings.clock, _served_end(settings))
        live = LiveWriter(partial(_place, settings=settings), metrics)
        service = Service(releases, clock, metrics, settings.deadline_seconds, log, live)
        return cls(service, releases, catalogue, executor, scorer, log)

    def start(self) -> None:
        """Starts to poll the store and to write the log."""
        if self.log is not None:
            self.log.start()
        self.releases.start()

    def close(self) -> None:
        """Stops the threads, the process and the connection, and flushes served slates and posted events to the log."""
        if self.log is not None:
            self.log.stop()
        self.releases.stop()
        self.catalogue.close()
        self.executor.close()
        self.scorer.close()


def _log(settings: ServingSettings, metrics: Metrics) -> LogWriter:
    return LogWriter(
        settings.log,
        settings.spool_dir,
        metrics,
        flush_seconds=settings.log_flush_seconds,
        max_slates=settings.log_queue,
    )


def _served_end(settings: ServingSettings) -> float | None:
    """Returns the time of the latest row in the served log if the clock continues from it, else None."""
    if settings.clock != "log" or not settings.log:
        return None
    try:
        return latest(settings.log)
    except KuberecError as error:
        logging.getLogger("kuberec").error(
            "the served log cannot be read; the clock starts at the dataset's end: %s", error
        )
        return None


def _place(bundle: Bundle, settings: ServingSettings) -> StoreSettings:
    """Returns the location of a bundle's online features."""
    facts = bundle.manifest.facts
    return StoreSettings(settings.online_dir, facts.dataset, facts.stage, settings.redis_url)


def _open_reader(bundle: Bundle, artifacts: Artifacts, state: StoreState, settings: ServingSettings) -> UserReader:
    """Returns a reader of users for a bundle; it opens the online store on first use."""
    place = _place(bundle, settings)
    opening = partial(
        OnlineFeatures, artifacts.feature_set, artifacts.items.item_ids, place, artifacts.config.event_grades
    )
    return LateReader(opening, state)


def _read_items(release: Release, catalogue: CatalogueProcess, settings: ServingSettings) -> Reading:
    """Reads the current catalogue of a release from the online store."""
    bundle = release.bundle
    key = CatalogueKey(bundle.path, _place(bundle, settings))
    now = Reading(release.artifacts.items, release.freshness, release.gaps)
    return catalogue.read(key, now, bundle.feature_set)
