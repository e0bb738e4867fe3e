"""What a transformer holds: releases. Catalogues: `test_catalogue.py`; predictors: `test_rankers.py`."""

from __future__ import annotations

import gc
import os
import shutil
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from feature_repo.errors import BundleError, FeatureStoreError
from feature_repo.features.state import ItemColumns
from inference.bundles.manifest import MANIFEST_FILE
from inference.bundles.manifest import describe as describe_files
from inference.bundles.store import BundleStore
from inference.candidates.timeouts import Timeouts
from inference.feature_store import Freshness
from inference.feature_store.catalogue_process import Reading
from inference.flow.executor import Executor
from inference.metrics import Metrics
from inference.models.neighbours import Neighbours
from inference.models.popularity import Popularity
from inference.scorers.local import LocalScorer
from inference.server.releases import Release, Releases
from tests.kit import world
from tests.kit.bundle_factory import make_bundle


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bundles")
    return [make_bundle(directory / str(seed), seed=seed) for seed in range(3)]


@dataclass
class Made:
    """Releases over a store of its own, with the outside in the test's hands."""

    directory: Path
    bundles: list
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    held: set[str] = field(default_factory=set)  # by the predictor
    asked: list[str] = field(default_factory=list)  # of it
    opened: list[str] = field(default_factory=list)
    read: Callable[[Release], ItemColumns] = lambda _release: world.items()
    freshness: Freshness | None = None  # of what is read
    fault: str = ""  # of the online store
    popularity: Popularity | None = None  # of the online store
    url: str = ""  # of the store; a directory by default

    def __post_init__(self) -> None:
        self.store = BundleStore(self.url or str(self.directory / "store"), self.directory / "cache")
        for bundle in self.bundles:
            self.store.publish(bundle)
        self.versions = [bundle.version for bundle in self.bundles]
        self.held.update(self.versions)
        self.releases = Releases(
            self.store,
            self._open,
            lambda release: Reading(self.read(release), self.freshness, fault=self.fault, popularity=self.popularity),
            LocalScorer(self.bundles[0].ranker()),
            self._holds,
            Executor(strict=False),
            Timeouts(),
            Metrics(self.registry),
            poll_seconds=60,
            items_seconds=60,
        )

    def turn(self, version: str) -> None:
        self.store.set_current(version)
        self.releases.step()

    @property
    def current(self) -> Release:
        release = self.releases.current()
        assert release is not None
        return release

    @property
    def version(self) -> str:
        return self.current.bundle.version

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def _open(self, bundle, artifacts, _state):
        self.opened.append(bundle.version)
        return world.Store(artifacts.feature_set)

    def _holds(self, version: str) -> bool:
        self.asked.append(version)
        return version in self.held


@pytest.fixture
def made(tmp_path, bundles) -> Made:
    return Made(tmp_path, bundles)


def dear(_release: Release) -> ItemColumns:
    return world.items(price=np.full(world.NUM_ITEMS, 5.0, np.float32))


def away(_release: Release) -> ItemColumns:
    raise FeatureStoreError("away")


def test_releases_wait_for_the_predictor_and_say_which_one_they_use(made):
    first, second, _ = made.versions
    made.releases.step()
    assert made.releases.current() is None
    made.held.clear()
    made.turn(first)
    assert made.version == first  # the first one does not wait
    made.turn(second)
    made.releases.step()
    assert made.version == first
    assert made.opened == [first, second]  # loaded once, and waiting
    made.asked.clear()
    made.releases.step()
    assert made.asked == [first, second]  # the one in use is asked for too, so that the predictor keeps it
    made.held.add(second)
    made.releases.step()
    assert made.version == second
    assert made.current.recommender.recommend([world.query("u1")])[0].bundle_version == second
    made.asked.clear()
    made.releases.step()
    assert made.asked == [second]


def test_a_release_that_is_overtaken_is_let_go(made):
    first, second, third = made.versions
    made.turn(first)
    made.held.clear()
    made.turn(second)
    waiting = weakref.ref(made.releases._waiting)
    made.turn(third)
    gc.collect()
    assert waiting() is None
    assert made.version == first
    waiting = weakref.ref(made.releases._waiting)
    made.turn(first)
    gc.collect()
    assert waiting() is None


def test_the_release_before_is_let_go(made):
    made.turn(made.versions[0])
    made.releases.renew()
    before = weakref.ref(made.current)
    tables = weakref.ref(made.current.artifacts)
    made.turn(made.versions[1])
    gc.collect()
    assert before() is None
    assert tables() is None


def test_the_copy_in_use_stays_in_the_cache(tmp_path, bundles):
    made = Made(tmp_path, bundles[:1], url=f"memory://releases-{tmp_path.name}")
    made.turn(made.versions[0])
    os.utime(made.current.bundle.path, (0, 0))  # others bring copies; its catalogue is read by the files of this one
    made.releases.step()
    assert time.time() - made.current.bundle.path.stat().st_mtime < 60


def test_the_catalogue_is_renewed_in_use_and_at_the_turn(made):
    first, second, third = made.versions
    made.turn(first)
    assert not (made.current.artifacts.items.price == 5.0).all()
    made.read = dear
    made.releases.renew()
    assert (made.current.artifacts.items.price == 5.0).all()
    made.turn(second)  # no request sees the prices as of the release
    assert made.version == second
    assert (made.current.artifacts.items.price == 5.0).all()
    made.read = away
    with pytest.raises(FeatureStoreError):
        made.releases.renew()
    assert made.metric("recs_degraded_total", reason="items") is None
    made.turn(third)  # a rollback does not wait for the store
    assert made.version == third
    assert made.metric("recs_degraded_total", reason="items") == 1.0


def test_a_popular_list_is_renewed_with_the_catalogue(made):
    first, second, _ = made.versions
    made.turn(first)
    own = made.current.artifacts.part(Popularity)
    order = made.current.recommender.stages.fallback.everything.tolist()
    made.releases.renew()
    assert made.current.artifacts.part(Popularity) is own  # the store has no list
    made.popularity = replace(own, score=np.arange(world.NUM_ITEMS, dtype=np.float32))
    made.releases.renew()
    assert made.current.artifacts.part(Popularity) is made.popularity
    assert made.current.recommender.stages.fallback.everything.tolist() == list(range(world.NUM_ITEMS))[::-1] != order
    made.popularity = None
    made.turn(second)
    assert made.current.artifacts.part(Popularity) is not own


def test_a_renewal_that_a_turn_overtakes_is_dropped(made):
    first, second, _ = made.versions
    made.turn(first)

    def overtaken(release: Release) -> ItemColumns:
        made.read = away
        made.turn(second)
        return dear(release)

    made.read = overtaken
    made.releases.renew()
    assert made.version == second
    assert not (made.current.artifacts.items.price == 5.0).all()


def test_metrics_tell_the_bundle_and_its_age(made, tmp_path):
    first, second, _ = made.versions
    made.turn(first)
    made.turn(second)
    assert made.metric("recs_bundle_info", version=second) == 1.0
    assert made.metric("recs_bundle_info", version=first) is None
    assert made.store.rollback() == first
    made.releases.step()
    assert made.metric("recs_bundle_info", version=first) == 1.0
    assert made.metric("recs_bundle_info", version=second) is None
    assert made.metric("recs_bundle_swaps_total") == 3.0
    age = made.metric("recs_index_age_seconds")
    assert age is not None
    assert abs(age - (time.time() - made.bundles[0].manifest.created())) < 2


def test_the_age_of_features_counts_from_their_computation(made):
    first, second, _ = made.versions

    def ages() -> set[float]:
        views = ("item_stats", "user_stats", "user_history")
        found = {made.metric("recs_feature_age_seconds", view=view) for view in views}
        return {round(age / 60) for age in found if age is not None}

    made.turn(first)
    assert ages() == {0}  # that of the bundle, made just now, until the store says otherwise
    made.freshness = Freshness(computed_at=time.time() - 600, as_of=world.NOW)
    made.releases.renew()
    assert ages() == {10}
    made.freshness = Freshness(computed_at=time.time() - 120, as_of=world.NOW)
    made.turn(second)
    assert ages() == {2}


def test_a_catalogue_that_was_not_refreshed_stays_in_use(made):
    made.turn(made.versions[0])
    before = made.current
    made.read = lambda release: release.artifacts.items
    made.releases.renew()
    assert made.current is before


def test_a_bundle_that_does_not_answer_stays_out(tmp_path, bundles):
    """Its files are whole, but do not fit together: every request would lack a source."""
    other = tmp_path / "other" / bundles[1].version
    shutil.copytree(bundles[1].path, other)
    whole = Neighbours.load(other)
    replace(whole, rows=whole.rows + np.int32(10 * world.NUM_ITEMS)).save(other)
    files = {name: file for name, file in describe_files(other).items() if name != MANIFEST_FILE}
    manifest = bundles[1].manifest.model_copy(update={"files": files})
    (other / "manifest.json").write_text(manifest.model_dump_json())
    made = Made(tmp_path, [bundles[0]])
    shutil.copytree(other, tmp_path / "store" / "bundles" / other.name)
    made.held.add(other.name)
    made.turn(bundles[0].version)
    made.store.set_current(other.name)
    with pytest.raises(BundleError, match=f"{other.name} failed its trial"):
        made.releases.step()
    made.releases.step()  # not again at once
    assert made.version == bundles[0].version


def test_a_server_without_a_release_takes_the_one_before_a_bad_one(made, monkeypatch):
    monkeypatch.setattr("inference.server.releases.BUNDLE_RETRY_SECONDS", 0.25)
    good, bad, _ = made.versions
    made.store.set_current(good)
    made.store.set_current(bad)
    damaged = made.directory / "store" / "bundles" / bad / "popularity.npz"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"half of it")
    with pytest.raises(BundleError, match="popularity"):
        made.releases.step()
    release = made.current
    assert made.version == good

    # It is tried again after a while, for the store itself may have been at fault.
    damaged.write_bytes(whole)
    made.releases.step()
    assert made.current is release
    time.sleep(0.3)
    made.releases.step()
    assert made.version == bad


def test_a_removed_bundle_stays_out_and_a_served_one_outlives_its_files(made):
    first, second, third = made.versions
    made.turn(first)
    for version in (first, second):
        shutil.rmtree(made.directory / "store" / "bundles" / version)
    (made.directory / "store" / "current").write_text(second)
    with pytest.raises(BundleError, match=second):
        made.releases.step()
    slate = made.current.recommender.recommend([world.query("u1")])[0]
    assert (slate.bundle_version, slate.degraded) == (first, ())
    made.turn(third)
    assert made.version == third


def test_a_store_that_is_not_complete_is_a_metric_and_a_line_when_it_changes(made, caplog):
    made.turn(made.versions[0])
    assert made.metric("recs_store_complete") == 1.0
    made.fault = "The online store was emptied."
    for _ in range(3):
        made.releases.renew()
    assert made.current.store.fault == made.fault
    assert made.metric("recs_store_complete") == 0.0
    made.fault = ""
    for _ in range(2):
        made.releases.renew()
    assert made.metric("recs_store_complete") == 1.0
    said = [record.message for record in caplog.records if "online store" in record.message]
    assert said == ["The online store was emptied.", "the online store is complete again"]


def test_an_emptied_bundle_store_is_a_failure_and_the_release_stays(made):
    first = made.versions[0]
    made.turn(first)
    (Path(made.store.url) / "current").unlink()
    with pytest.raises(BundleError, match=f"was emptied: bundle {first} stays in service"):
        made.releases.step()
    assert made.version == first
    made.turn(first)
    assert made.version == first
