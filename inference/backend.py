"""Everything behind the transformer's routes, opened from the settings and ended together.

Owns which online features, catalogue and predictor a release is served with. It knows no web framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from feature_repo.state import ItemColumns
from inference.artifacts import Artifacts
from inference.bundle import Bundle
from inference.catalogue import CatalogueKey, CatalogueProcess
from inference.clock import Clock
from inference.executor import Executor
from inference.feature_store import OnlineFeatures, StoreSettings
from inference.late_reader import LateReader
from inference.metrics import Metrics
from inference.recommender import UserReader
from inference.releases import Release, Releases
from inference.scorers.remote import RemoteScorer
from inference.service import Service
from inference.settings import ServingSettings
from inference.store import BundleStore
from inference.timeouts import Timeouts


@dataclass(frozen=True)
class Backend:
    """What answers requests, and what has to be ended with the server.

    Attributes:
        service: Answers checked requests.
        releases: Follows the store once started.
        catalogue: Reads the catalogue beside the server.
        executor: Threads of the stages.
        scorer: The connection to the predictor.
    """

    service: Service
    releases: Releases
    catalogue: CatalogueProcess
    executor: Executor
    scorer: RemoteScorer

    @classmethod
    def open(cls, settings: ServingSettings, metrics: Metrics) -> Backend:
        """Connects the parts; nothing runs yet."""
        executor = Executor(strict=False, threads=4 * settings.request_threads, observer=metrics)
        scorer = RemoteScorer(settings.predictor)
        catalogue = CatalogueProcess()
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
        )
        service = Service(releases, Clock(settings.clock), metrics, settings.deadline_seconds)
        return cls(service, releases, catalogue, executor, scorer)

    def close(self) -> None:
        """Ends the threads, the process and the connection."""
        self.releases.stop()
        self.catalogue.close()
        self.executor.close()
        self.scorer.close()


def _place(bundle: Bundle, settings: ServingSettings) -> StoreSettings:
    """Where a bundle's online features are."""
    facts = bundle.manifest.facts
    return StoreSettings(settings.online_dir, facts.dataset, facts.stage, settings.redis)


def _open_reader(bundle: Bundle, artifacts: Artifacts, settings: ServingSettings) -> UserReader:
    """The users of a bundle; opened once the store is there."""
    place = _place(bundle, settings)
    return LateReader(partial(OnlineFeatures, artifacts.feature_set, artifacts.items.item_ids, place))


def _read_items(release: Release, catalogue: CatalogueProcess, settings: ServingSettings) -> ItemColumns:
    """The catalogue of a release as the online store has it now."""
    bundle = release.bundle
    key = CatalogueKey(bundle.path, _place(bundle, settings))
    return catalogue.items(key, bundle.manifest.facts.features_as_of, release.artifacts.items, bundle.feature_set)
