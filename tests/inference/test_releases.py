"""What the two servers hold: rankers, releases, and the catalogue beside a release."""

from __future__ import annotations

import time

import numpy as np
import pytest

from feature_repo.errors import BundleError, FeatureStoreError, PredictorError
from inference.catalogue import CatalogueKey, CatalogueProcess
from inference.executor import Executor
from inference.feature_store import StoreSettings
from inference.metrics import Metrics
from inference.rankers import Rankers
from inference.releases import Release, Releases
from inference.scorers.local import LocalScorer
from inference.store import BundleStore
from inference.timeouts import Timeouts
from tests.inference import world
from tests.inference.bundles import make_bundle
from tests.inference.features import fill_store


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bundles")
    return [make_bundle(directory / str(seed), seed=seed) for seed in range(3)]


@pytest.fixture(scope="module")
def metrics():
    from prometheus_client import CollectorRegistry

    return Metrics(CollectorRegistry())


def test_rankers_held_are_the_current_and_the_one_before(tmp_path, bundles, metrics, monkeypatch):
    monkeypatch.setattr("inference.rankers.REFUSED_SECONDS", 0.25)
    store = BundleStore(str(tmp_path / "store"))
    rankers = Rankers(store, metrics, num_threads=1, num_held=2, poll_seconds=60)
    rankers.step()
    assert not rankers.holds()
    assert rankers.newest() == ""
    for bundle in bundles:
        store.publish(bundle)
    first, second, third = (bundle.version for bundle in bundles)
    store.set_current(first)
    store.set_current(second)
    rankers.step()
    assert (rankers.holds(first), rankers.holds(second), rankers.newest()) == (True, True, second)
    store.set_current(third)
    rankers.step()
    rankers.step()
    assert (rankers.holds(first), rankers.holds(second), rankers.holds(third)) == (False, True, True)
    with pytest.raises(PredictorError, match=first):
        rankers.get(first)
    model = tmp_path / "store" / "bundles" / first / "ranker" / "model.txt"
    whole = model.read_bytes()
    model.write_text("x")
    store.set_current(first)
    rankers.step()
    assert not rankers.holds(first)
    assert rankers.holds(second)
    model.write_bytes(whole)
    rankers.step()
    assert not rankers.holds(first)
    time.sleep(0.3)
    rankers.step()
    assert rankers.holds(first)


def test_releases_wait_for_the_predictor_and_renew_the_catalogue(tmp_path, bundles, metrics):
    store = BundleStore(str(tmp_path / "store"))
    held: set[str] = set()
    opened = []

    away: list[bool] = []

    def reading(release):
        if away:
            raise FeatureStoreError("away")
        return world.items(price=np.full(world.NUM_ITEMS, 5.0, np.float32))

    def opening(bundle, artifacts):
        opened.append(bundle.version)
        return world.Store(artifacts.feature_set)

    releases = Releases(
        store,
        opening,
        reading,
        LocalScorer(bundles[0].ranker()),
        held.__contains__,
        Executor(strict=False),
        Timeouts(),
        metrics,
        poll_seconds=60,
        items_seconds=60,
    )

    def current() -> Release:
        release = releases.current()
        assert release is not None
        return release

    releases.step()
    assert releases.current() is None
    for bundle in bundles[:2]:
        store.publish(bundle)
    first, second = bundles[0].version, bundles[1].version
    store.set_current(first)
    releases.step()
    release = current()
    assert release.bundle.version == first
    assert not (release.artifacts.items.price == 5.0).all()
    releases.renew()
    assert (current().artifacts.items.price == 5.0).all()
    store.set_current(second)
    releases.step()
    releases.step()
    assert current().bundle.version == first
    assert opened == [first, second]  # loaded once, and waiting
    held.add(second)
    releases.step()
    assert current().bundle.version == second
    away.append(True)
    with pytest.raises(FeatureStoreError):
        releases.renew()
    assert current().bundle.version == second
    slate = current().recommender.recommend([world.query("u1")])[0]
    assert slate.bundle_version == second


def test_a_server_without_a_release_takes_the_one_before_a_bad_one(tmp_path, bundles, metrics, monkeypatch):
    monkeypatch.setattr("inference.releases.REFUSED_SECONDS", 0.25)
    store = BundleStore(str(tmp_path / "store"))
    good, bad = bundles[0].version, bundles[1].version
    for bundle in bundles[:2]:
        store.publish(bundle)
        store.set_current(bundle.version)
    damaged = tmp_path / "store" / "bundles" / bad / "popularity.npz"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"half of it")
    releases = Releases(
        store,
        lambda _bundle, artifacts: world.Store(artifacts.feature_set),
        lambda _release: world.items(),
        LocalScorer(bundles[0].ranker()),
        lambda _version: True,
        Executor(strict=False),
        Timeouts(),
        metrics,
        poll_seconds=60,
        items_seconds=60,
    )
    with pytest.raises(BundleError, match="popularity"):
        releases.step()
    release = releases.current()
    assert release is not None
    assert release.bundle.version == good

    # It is tried again after a while, for the store itself may have been at fault.
    damaged.write_bytes(whole)
    releases.step()
    assert releases.current() is release
    time.sleep(0.3)
    releases.step()
    release = releases.current()
    assert release is not None
    assert release.bundle.version == bad


def test_the_catalogue_is_read_by_a_process_of_its_own(tmp_path, bundles):
    bundle, process = bundles[0], CatalogueProcess()
    now = bundle.artifacts().items
    place = StoreSettings(tmp_path / "online", "world")
    key = CatalogueKey(bundle.path, place)
    try:
        with pytest.raises(FeatureStoreError, match="missing"):
            process.items(key, world.NOW, now, bundle.feature_set)
        fill_store(tmp_path / "features", place)
        read = process.items(key, world.NOW, now, bundle.feature_set)
        for name in ("numeric", "categorical", "price", "available", "created_at", "regions", "min_age"):
            assert np.array_equal(getattr(read, name), getattr(now, name), equal_nan=name != "regions"), name
        worker = process._process
        assert worker is not None
        worker.kill()
        worker.wait()
        assert (process.items(key, world.NOW, now, bundle.feature_set).price == now.price).all()
    finally:
        process.close()
    assert process._process is not None
    assert process._process.poll() == 0
