from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import BundleError, PredictorError, StorageError, exit_with_sentence
from feature_repo.storage.files import read_json, write_json
from feature_repo.storage.folder import open_folder
from inference.bundles.bundle import open_bundle, write_bundle
from inference.bundles.manifest import MANIFEST_FILE, Facts
from inference.bundles.store import BundleStore
from inference.scorers.lightgbm import LightGbmRanker
from inference.scorers.local import LocalScorer
from tests.kit import world
from tests.kit.bundle_factory import FACTS, content_of, make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def copy(bundle, tmp_path) -> Path:
    return Path(shutil.copytree(bundle.path, tmp_path / bundle.version))


def test_a_bundle_serves_what_it_was_made_of(bundle):
    loaded = bundle.artifacts()
    made = world.artifacts()
    assert loaded.version == bundle.version
    assert loaded.feature_set == made.feature_set
    for name in ("item_ids", "regions", "numeric", "categorical", "price", "available", "created_at", "min_age"):
        assert np.array_equal(
            getattr(loaded.items, name), getattr(made.items, name), equal_nan=name not in ("item_ids", "regions")
        )
    assert loaded.contents.title(1) == "Thing 1"
    assert loaded.contents.title(50) == "i0050"
    scorer = LocalScorer(bundle.ranker())
    slate = world.recommender(loaded, scorer).recommend([world.query("u1")])[0]
    assert len(slate.rows) == 20
    assert slate.bundle_version == bundle.version


def test_manifest_names_every_file_and_no_pickle(bundle):
    manifest = read_json(bundle.path / "manifest.json")
    assert set(manifest["files"]) == {
        "feature_set.json", "item_ids.parquet", "contents.parquet", "items.npz", "recommender.json", "neighbours.npz",
        "popularity.npz", "ranker/model.txt", "ranker/calibration.json",
    }  # fmt: skip
    assert all(len(file["sha256"]) == 64 for file in manifest["files"].values())
    assert manifest["facts"]["fingerprint"] == "f" * 64
    assert manifest["feature_set_hash"] == bundle.feature_set.hash


@pytest.mark.parametrize("name", ["popularity.npz", "ranker/model.txt", "items.npz", "feature_set.json"])
def test_damage_is_refused(copy, name):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BundleError, match=f"damaged: {name}"):
        open_bundle(copy)


def test_missing_extra_and_foreign_files_are_refused(copy):
    (copy / "neighbours.npz").rename(copy / "elsewhere.npz")
    with pytest.raises(BundleError, match=r"elsewhere\.npz, which its manifest does not name"):
        open_bundle(copy)
    (copy / "elsewhere.npz").unlink()
    with pytest.raises(BundleError, match=r"lacks neighbours\.npz"):
        open_bundle(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(BundleError, match="not a bundle"):
        open_bundle(copy)


def test_unknown_feature_hash_and_outside_paths_are_refused(copy):
    manifest = read_json(copy / "manifest.json")
    write_json(copy / "manifest.json", {**manifest, "feature_set_hash": "0" * 16})
    with pytest.raises(BundleError, match="feature set 0000000000000000"):
        open_bundle(copy)
    files = {**manifest["files"], "../secret": {"sha256": "0" * 64, "num_bytes": 1}}
    write_json(copy / "manifest.json", {**manifest, "files": files})
    with pytest.raises(BundleError, match="inside the bundle"):
        open_bundle(copy)
    (copy / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read"):
        open_bundle(copy)


def test_a_failed_write_leaves_nothing(tmp_path):
    made = world.artifacts()
    content = content_of(tmp_path, made, ranker=tmp_path / "none")
    facts = Facts(
        dataset="world", fingerprint="f", code_version="c", log_end=1, weights_until=1, ranker_until=1, features_as_of=1
    )
    with pytest.raises(OSError, match="none"):
        write_bundle(content, tmp_path / "out", facts)
    assert list((tmp_path / "out").iterdir()) == []


def test_parts_of_sources_are_whole_or_refused(tmp_path):
    content = content_of(tmp_path, world.artifacts())
    (content.parts / "index").mkdir()
    with pytest.raises(BundleError, match=r"lacks towers, which a bundle needs"):
        write_bundle(content, tmp_path / "out", FACTS)
    (content.parts / "index").rmdir()
    (content.parts / "neighbours.npz").unlink()
    with pytest.raises(BundleError, match=r"lacks neighbours\.npz"):
        write_bundle(content, tmp_path / "out", FACTS)


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_store_publishes_serves_and_rolls_back(tmp_path, kind, bundle):
    url = str(tmp_path / "store") if kind == "local" else f"memory://kuberec-{tmp_path.name}"
    store = BundleStore(url, tmp_path / "cache")
    assert store.versions() == []
    assert store.current() is None
    with pytest.raises(BundleError, match="does not hold"):
        store.set_current("nothing")
    with pytest.raises(BundleError, match="no earlier bundle"):
        store.rollback()
    other = make_bundle(tmp_path / "other", seed=1)
    for one in (bundle, other, bundle):
        store.publish(one)
    assert store.versions() == sorted([bundle.version, other.version])
    assert store.current() is None
    store.set_current(bundle.version)
    store.set_current(other.version)
    assert store.current() == other.version
    assert store.previous() == bundle.version
    assert store.rollback() == bundle.version
    assert store.current() == bundle.version
    fetched = store.fetch(bundle.version)
    assert fetched.manifest == bundle.manifest
    assert fetched.path != bundle.path


def test_the_cache_keeps_the_copies_asked_for_last(tmp_path, bundle, monkeypatch):
    monkeypatch.setattr("inference.bundles.cache.KEPT", 2)
    store = BundleStore(f"memory://kuberec-{tmp_path.name}", tmp_path / "cache")
    made = [bundle, *(make_bundle(tmp_path / str(seed), seed=seed) for seed in (1, 2))]
    (tmp_path / "cache" / "online").mkdir(parents=True)  # what else lies there stays
    begun = {f".{bundle.version}.0123abcd": 7200, f".{bundle.version}.abcd0123": 60}  # the first by a killed process
    for name, age in begun.items():
        (tmp_path / "cache" / name).mkdir()
        os.utime(tmp_path / "cache" / name, (time.time() - age, time.time() - age))
    for number, one in enumerate(made):
        store.publish(one)
        if number == 2:
            assert store.fetch(made[0].version).version == made[0].version  # asked for again: no longer the oldest
        copy = store.fetch(one.version).path
        os.utime(copy, (number, number))
    kept = {made[0].version, made[2].version, f".{bundle.version}.abcd0123", "online"}
    assert {path.name for path in (tmp_path / "cache").iterdir()} == kept


def test_a_copy_under_another_name_is_refused(tmp_path, bundle):
    """Servers would take turns at loading it: each looks for the name that the other does not know."""
    for url in (str(tmp_path / "store"), f"memory://kuberec-{tmp_path.name}"):
        store = BundleStore(url, tmp_path / "cache")
        other = tmp_path / "copy" / "other"
        shutil.copytree(bundle.path, other, dirs_exist_ok=True)
        open_folder(f"{url}/bundles").add(other, "other", last=MANIFEST_FILE)
        with pytest.raises(BundleError, match=f"other of .* is a copy of {bundle.version}"):
            store.fetch("other")


def test_half_published_bundles_are_not_there(tmp_path, bundle):
    store = BundleStore(str(tmp_path / "store"))
    store.publish(bundle)
    (tmp_path / "store" / "bundles" / "half").mkdir()
    (tmp_path / "store" / "bundles" / ".building").mkdir()
    assert store.versions() == [bundle.version]
    (tmp_path / "store" / "current").write_text("../../etc\n")
    with pytest.raises(BundleError, match="does not name a bundle version"):
        store.current()


def test_ranker_agrees_with_its_booster_and_refuses_other_widths(bundle):
    model = bundle.ranker()
    assert isinstance(model, LightGbmRanker)
    rows = np.random.default_rng(0).normal(size=(50, model.num_features)).astype(np.float32)
    score, probabilities = model.score(rows)
    assert score.dtype == np.float32
    np.testing.assert_array_equal(model.order(rows), score)
    assert set(probabilities) == {"click", "convert"}
    order = np.argsort(score)
    assert (np.diff(probabilities["click"][order]) >= 0).all()
    assert model.score(rows[:0])[0].shape == (0,)
    with pytest.raises(PredictorError, match="features"):
        model.score(rows[:, 1:])


@pytest.mark.parametrize("damage", ["model", "table", "json"])
def test_damaged_rankers_are_refused(copy, damage):
    if damage == "model":
        (copy / "ranker" / "model.txt").write_text("no trees")
    elif damage == "table":
        (copy / "ranker" / "calibration.json").write_text(json.dumps({"click": {"x": [1, 0], "y": [0, 1]}}))
    else:
        (copy / "ranker" / "calibration.json").write_text("{")
    with pytest.raises(BundleError):
        LightGbmRanker.load(copy / "ranker")


def test_a_copy_that_does_not_fit_on_the_disk_is_a_sentence_and_fits_with_room(bundle, tmp_path, disk, capsys):
    BundleStore(str(tmp_path / "store")).publish(bundle)
    remote = BundleStore(f"file://{tmp_path}/store", disk.path / "cache")
    disk.leave(20_000)
    with pytest.raises(SystemExit) as ended, exit_with_sentence():
        remote.fetch(bundle.version)
    assert ended.value.code == StorageError.exit_code
    said = capsys.readouterr().err
    assert said.startswith(f"error: The bundle {bundle.version} cannot be fetched: ")
    assert "No space left on device" in said
    assert "; make room on the disk" in said
    assert list((disk.path / "cache").iterdir()) == []
    disk.make_room()
    assert remote.fetch(bundle.version).manifest == bundle.manifest
