"""Everything behind the transformer's routes, opened from the settings and ended together.

Owns which online features, catalogue and predictor a release is served with. It knows no web framework.
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
from inference.flow.executor import Executor
from inference.hydrators.protocol import UserReader
from inference.log.reader import latest
from inference.log.writer import LogWriter
from inference.metrics import Metrics
from inference.models.artifacts import Artifacts
from inference.recorders.served_log import LogRecorder
from inference.scorers.remote import RemoteScorer
from inference.server.releases import Release, Releases
from inference.server.service import Service
from inference.settings import ServingSettings


@dataclass(frozen=True)
class Backend:
    """What answers requests, and what has to be ended with the server.

    Attributes:
        service: Answers checked requests.
        releases: Follows the store once started.
        catalogue: Reads the catalogue beside the server.
        executor: Threads of the stages.
        scorer: The connection to the predictor.
        log: Writes what is served and posted, if anything is logged.
    """

    service: Service
    releases: Releases
    catalogue: CatalogueProcess
    executor: Executor
    scorer: RemoteScorer
    log: LogWriter | None

    @classmethod
    def open(cls, settings: ServingSettings, metrics: Metrics) -> Backend:
        """Connects the parts; nothing runs yet."""
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
        service = Service(
            releases, Clock(settings.clock, _served_end(settings)), metrics, settings.deadline_seconds, log
        )
        return cls(service, releases, catalogue, executor, scorer, log)

    def start(self) -> None:
        """Begins to watch the store and to write the log."""
        if self.log is not None:
            self.log.start()
        self.releases.start()

    def close(self) -> None:
        """Ends the threads, the process and the connection; what was served and posted is brought into the log."""
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
    """Until when the served log goes, where the clock goes on from it."""
    if settings.clock != "log" or not settings.log:
        return None
    try:
        return latest(settings.log)
    except KuberecError as error:
        logging.getLogger("kuberec").error("the clock goes on from the bundle's log alone: %s", error)
        return None


def _place(bundle: Bundle, settings: ServingSettings) -> StoreSettings:
    """Where a bundle's online features are."""
    facts = bundle.manifest.facts
    return StoreSettings(settings.online_dir, facts.dataset, facts.stage, settings.redis)


def _open_reader(bundle: Bundle, artifacts: Artifacts, settings: ServingSettings) -> UserReader:
    """The users of a bundle; opened once the store is there."""
    place = _place(bundle, settings)
    return LateReader(partial(OnlineFeatures, artifacts.feature_set, artifacts.items.item_ids, place))


def _read_items(release: Release, catalogue: CatalogueProcess, settings: ServingSettings) -> Reading:
    """The catalogue of a release as the online store has it now."""
    bundle = release.bundle
    key = CatalogueKey(bundle.path, _place(bundle, settings))
    now = Reading(release.artifacts.items, release.freshness)
    return catalogue.read(key, bundle.manifest.facts.features_as_of, now, bundle.feature_set)
