"""What a predictor holds while transformers turn at moments of their own, back and forth."""

from __future__ import annotations

import gc
import shutil
import weakref

import pytest
from prometheus_client import CollectorRegistry

from feature_repo.errors import BundleError, PredictorError
from inference.bundles.manifest import MANIFEST_FILE
from inference.bundles.manifest import describe as describe_files
from inference.bundles.store import BundleStore
from inference.metrics import Metrics
from inference.server.rankers import Rankers
from tests.kit.bundle_factory import make_bundle


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bundles")
    return [make_bundle(directory / str(seed), seed=seed) for seed in range(4)]


@pytest.fixture
def store(tmp_path, bundles) -> BundleStore:
    made = BundleStore(str(tmp_path / "store"))
    for bundle in bundles:
        made.publish(bundle)
    return made


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def rankers(store, registry) -> Rankers:
    return Rankers(store, Metrics(registry), num_threads=1, num_held=2, poll_seconds=60)


@pytest.fixture
def idle(monkeypatch):
    """Lets go at the next look whatever is not among the last two asked for."""
    return lambda: monkeypatch.setattr("inference.server.rankers.IN_USE_SECONDS", 0.0)


def held(rankers: Rankers) -> set[str]:
    return set(rankers._held)


def test_the_current_bundle_and_the_one_before_are_held(store, bundles, rankers, registry, idle):
    first, second, third, _ = (bundle.version for bundle in bundles)
    rankers.step()
    assert not rankers.holds()
    store.set_current(first)
    store.set_current(second)
    rankers.step()
    assert rankers.holds()
    assert held(rankers) == {first, second}
    gone = weakref.ref(rankers.get(first))
    rankers.get(second)
    store.set_current(third)
    rankers.step()
    assert gone() is not None
    idle()
    rankers.step()
    assert held(rankers) == {second, third}
    gc.collect()
    assert gone() is None
    assert [rankers.holds(version) for version in (first, second, third)] == [False, True, True]
    with pytest.raises(PredictorError, match=first):
        rankers.get(first)
    info = {version: registry.get_sample_value("recs_bundle_info", {"version": version}) for version in held(rankers)}
    assert info == {second: 1.0, third: 1.0}
    assert registry.get_sample_value("recs_bundle_info", {"version": first}) is None


def test_what_a_transformer_still_uses_is_kept(store, bundles, rankers, idle):
    """Rolled back to the first, then a new release: the second is the one that nobody uses."""
    first, second, third, _ = (bundle.version for bundle in bundles)
    store.set_current(first)
    rankers.step()
    store.set_current(second)
    rankers.step()
    assert store.rollback() == first
    rankers.step()
    rankers.get(first)
    store.set_current(third)
    rankers.step()
    assert rankers.get(first)
    idle()
    rankers.step()
    assert held(rankers) == {first, third}


def test_transformers_that_turn_late_find_what_they_use(store, bundles, rankers, idle):
    """One follows at once, one is three releases behind: what they use is held, nothing else for long."""
    versions = [bundle.version for bundle in bundles]
    for version in versions:
        store.set_current(version)
        rankers.step()
        assert rankers.holds(versions[0])  # a transformer's look, no request
    assert held(rankers) == set(versions)
    rankers.get(versions[3])
    rankers.holds(versions[0])
    idle()
    rankers.step()
    assert held(rankers) == {versions[0], versions[3]}


def test_the_current_bundle_is_kept_though_nobody_has_asked_for_it_yet(store, bundles, rankers, idle):
    first, second, third, _ = (bundle.version for bundle in bundles)
    for version in (third, first, second, third):
        store.set_current(version)
        rankers.step()
    rankers.get(first)
    rankers.get(second)
    idle()
    rankers.step()
    assert held(rankers) == {second, third}


@pytest.mark.parametrize("damage", ["half", "width", "gone"])
def test_a_bad_bundle_is_left_out_and_tried_again_later(store, bundles, rankers, tmp_path, monkeypatch, damage):
    first, second, third, _ = (bundle.version for bundle in bundles)
    for version in (first, second):
        store.set_current(version)
        rankers.step()
    bundle = tmp_path / "store" / "bundles" / third
    store.set_current(third)
    whole = tmp_path / "whole"
    shutil.copytree(bundle, whole)
    spoil(damage, bundle, bundles[2])
    with pytest.raises(BundleError, match=third):
        rankers.step()
    rankers.step()  # not again at once
    assert held(rankers) == {first, second}
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(whole, bundle)
    rankers._refused_until.clear()  # the while is over
    rankers.step()
    assert rankers.holds(third)


def spoil(damage: str, folder, bundle) -> None:
    if damage == "gone":
        shutil.rmtree(folder)
        return
    model = folder / "ranker" / "model.txt"
    if damage == "half":
        model.write_text("x")
        return
    import lightgbm as lgb
    import numpy as np

    rng = np.random.default_rng(0)
    data = lgb.Dataset(rng.normal(size=(200, 3)), rng.integers(0, 2, 200), group=[200])
    narrow = lgb.train({"objective": "lambdarank", "verbosity": -1, "num_threads": 1}, data, 2)
    model.write_text(narrow.model_to_string())
    files = {name: file for name, file in describe_files(folder).items() if name != MANIFEST_FILE}
    (folder / MANIFEST_FILE).write_text(bundle.manifest.model_copy(update={"files": files}).model_dump_json())


def test_a_damaged_current_bundle_does_not_keep_the_one_before_out(store, bundles, rankers, tmp_path):
    first, second = bundles[0].version, bundles[1].version
    store.set_current(first)
    store.set_current(second)
    (tmp_path / "store" / "bundles" / second / "ranker" / "model.txt").write_text("x")
    with pytest.raises(BundleError, match=second):
        rankers.step()
    rankers.step()
    assert held(rankers) == {first}
