"""A refresh computes what a training run would, for the columns that are served, and says when it cannot."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.features import build_features
from components.features.build import build_newest
from components.features.refresh import newest_moment, refresh_features
from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.split import DAY
from feature_repo.dataset.tables import PreparedTables
from feature_repo.errors import BundleError
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.feature_set import FeatureSet
from feature_repo.storage.files import read_json, write_json
from inference.bundles.manifest import MANIFEST_FILE, Facts, Manifest
from inference.bundles.store import BundleStore
from inference.feature_store import OnlineFeatures, StoreSettings, materialize
from tests.kit import released_shop
from tests.kit.log_parts import event, slate, write_part

USERS = [*(f"u{number}" for number in range(15)), "newcomer", "nobody"]
LATER = released_shop.END + timedelta(hours=2)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released dataset, and clean tables of it with a served log that goes on for two hours."""
    path = tmp_path_factory.mktemp("world")
    released_shop.write_dataset(path / "dataset")
    released_shop.release(path / "dataset", path / "release", BundleStore(str(path / "store")), place(path))
    write_part(path / "log", "impressions", "a", slate("s1", "newcomer", ["i1", "i2", "i3"], LATER))
    seen = event("n1", "newcomer", "i2", "click", LATER + timedelta(minutes=1), request_id="s1", price=7.0)
    write_part(path / "log", "interactions", "a", [seen])
    released_shop.clean_tables(path / "dataset", path / "after", path / "log")
    return path


@pytest.fixture
def copied(world: Path, tmp_path: Path) -> Path:
    """The same for a test that changes it."""
    shutil.copytree(world, tmp_path / "world")
    return tmp_path / "world"


def place(path: Path, stage: str = "final") -> StoreSettings:
    return StoreSettings(path / "store" / "online", "shop", stage)


def refresh(path: Path, now: float | None = None) -> Any:
    def at(facts: Facts) -> StoreSettings:
        return place(path, facts.stage)

    return refresh_features(path / "after" / "clean", BundleStore(str(path / "store")), at, now)


def reader(path: Path, stage: str = "final") -> OnlineFeatures:
    store = BundleStore(str(path / "store"))
    served = store.fetch(store.current() or "")
    return OnlineFeatures(served.feature_set, served.artifacts().items.item_ids, place(path, stage))


def assert_same(one: OnlineFeatures, other: OnlineFeatures, time: float) -> None:
    for name in ("numeric", "categorical", "price", "available", "created_at", "min_age"):
        np.testing.assert_array_equal(getattr(one.items(time), name), getattr(other.items(time), name), err_msg=name)
    times = np.full(len(USERS), time)
    mine, theirs = one.users(USERS, times), other.users(USERS, times)
    for name in ("known", "numeric", "categorical"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=name)
    for part in ("history", "own"):
        for name in getattr(mine, part).__slots__:
            np.testing.assert_array_equal(getattr(getattr(mine, part), name), getattr(getattr(theirs, part), name))


def test_a_refresh_is_what_training_on_the_same_tables_makes(world: Path, tmp_path: Path) -> None:
    """Every snapshot since the ranking span, or the newest alone; the served columns of tables that now have more."""
    clean, store = world / "after" / "clean", BundleStore(str(world / "store"))
    feature_set = store.fetch(store.current() or "").feature_set
    tables = PreparedTables.open(clean)
    wider = build_features(clean, tmp_path / "trained")
    assert set(feature_set.item_numeric) < set(wider.item_numeric)  # the log has impressions, the dataset had none
    as_of = build_newest(clean, tmp_path / "refreshed", feature_set, tables.split.log_end)
    assert as_of == tables.split.stamp(tables.split.log_end)
    materialize(tmp_path / "refreshed", feature_set, place(tmp_path, "refreshed"), as_of)
    trained = _trained_on(feature_set, clean, tmp_path / "same")
    materialize(trained, feature_set, place(tmp_path, "trained"), as_of)
    ids = FeaturesDirectory(tmp_path / "trained").item_ids()
    ours, theirs = (OnlineFeatures(feature_set, ids, place(tmp_path, stage)) for stage in ("refreshed", "trained"))
    assert_same(ours, theirs, as_of)
    assert ours.users(["newcomer", "nobody"], np.full(2, as_of)).known.tolist() == [True, False]


def _trained_on(feature_set: FeatureSet, clean: Path, out: Path) -> Path:
    """Snapshots of all days, as training makes them, of these columns."""
    import components.features.build as build

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "choose_features", lambda _tables, _sources: feature_set)
        build_features(clean, out)
    return out


def test_what_the_log_adds_is_served(copied: Path) -> None:
    before = reader(copied)
    assert not before.users(["newcomer"], np.zeros(1)).known.any()
    done = refresh(copied)
    assert done.bundles == (done.bundle,)
    assert (done.num_users, done.num_items) == (16, 17)
    end = LATER + timedelta(minutes=1)
    assert done.as_of == pytest.approx(end.timestamp(), abs=1e-3)
    after = reader(copied)
    found = after.users(["newcomer"], np.array([done.as_of]))
    assert found.known.all()
    assert found.history.grades.tolist() == [1]
    freshness = after.freshness()
    assert freshness is not None
    assert freshness.as_of == done.as_of


def test_a_log_that_goes_on_is_refreshed_as_of_now(copied: Path) -> None:
    """What is to count from a moment after the last event counts once that moment has come."""
    split = PreparedTables.open(copied / "after" / "clean").split
    now = split.log_end + 6 * 3600
    assert newest_moment(split, now) == now
    assert newest_moment(split, split.log_end - 20 * 3600) == split.log_end - 20 * 3600  # an event of a client ahead
    assert (
        newest_moment(split, split.log_end + 2 * DAY) == newest_moment(split, split.log_end - 2 * DAY) == split.log_end
    )
    items = [{"item_id": "i1", "price": 10.0}]
    for hours, price in ((3, 11.0), (9, 12.0)):
        items.append({"item_id": "i1", "price": price, "valid_from": LATER + timedelta(hours=hours)})
    rows = [{**row, "weight": 1.0, "colour": "red"} for row in items]
    released_shop.write_table(copied / "dataset", "items", rows)
    released_shop.clean_tables(copied / "dataset", copied / "after", copied / "log")
    done = refresh(copied, now)
    assert done.as_of == pytest.approx(now, abs=1e-3)
    place_of = {item: row for row, item in enumerate(reader(copied).items(now).item_ids)}
    assert reader(copied).items(now).price[place_of["i1"]] == 11.0
    freshness = reader(copied).freshness()
    assert freshness is not None
    assert abs(freshness.computed_at - time.time()) < 600  # the wall clock, not the log's


def test_an_event_dated_ahead_counts_and_moves_no_window(copied: Path) -> None:
    """Servers take events of up to a day ahead; the windows of everybody end now all the same."""
    now = PreparedTables.open(copied / "after" / "clean").split.log_end - 20 * 3600
    done = refresh(copied, now)
    assert done.as_of == pytest.approx(now, abs=1e-3)
    assert reader(copied).users(["newcomer"], np.array([done.as_of])).known.all()


def test_the_bundle_before_is_refreshed_while_it_can_be(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = BundleStore(str(copied / "store"))
    first = store.current() or ""
    light = tuple(name for name in store.feature_set(first).item_numeric if name != "weight")
    fewer = store.feature_set(first).model_copy(update={"item_numeric": light, "item_extras": ()})
    second = _released(store, first, copied, fewer)
    assert refresh(copied).bundles == (second, first)
    for version in (first, second):
        online = OnlineFeatures(store.feature_set(version), np.array(["i1"], dtype=object), place(copied))
        assert online.users(["newcomer"], np.zeros(1)).known.all()
    record = Path(store.url) / "released" / second
    whole = record.read_text()
    record.write_text("{}")  # the served bundle needs no record
    assert refresh(copied).bundles == (second,)
    assert "the previously served bundle is unknown" in capsys.readouterr().err
    record.write_text(whole)
    _configure(copied, 'numerical = ["weight"]', "")
    assert refresh(copied).bundles == (second,)
    assert f"the features of bundle {first}, served before, are not refreshed" in capsys.readouterr().err


def _released(store: BundleStore, version: str, path: Path, feature_set: FeatureSet) -> str:
    """A bundle of another feature set, served now; its other files are those of a version."""
    name = f"{version}-other"
    folder = Path(store.url) / "bundles" / name
    shutil.copytree(Path(store.url) / "bundles" / version, folder)
    feature_set.save(folder / "feature_set.json")
    manifest = Manifest.read(folder).model_copy(update={"version": name, "feature_set_hash": feature_set.hash})
    write_json(folder / MANIFEST_FILE, manifest.model_dump(mode="json"))
    store.set_current(name)
    return name


def test_what_cannot_be_refreshed_is_refused_in_a_sentence(copied: Path) -> None:
    clean = copied / "after" / "clean"
    with pytest.raises(BundleError, match="has no current bundle"):
        refresh_features(clean, BundleStore(str(copied / "nothing")), lambda _: place(copied))
    changed = {
        'convert = ["purchase"]': ('buy = ["purchase"]', "learned the objectives click, convert, but dataset.toml has"),
        'numerical = ["points"]': ("", r"learned from 'points' of users, which \[features.users\]"),
    }
    for old, (new, words) in changed.items():
        _configure(copied, old, new)
        with pytest.raises(BundleError, match=words):
            refresh(copied)


def _configure(path: Path, old: str, new: str) -> None:
    """Makes the clean tables those of a `dataset.toml` with another line."""
    (path / "changed").mkdir(exist_ok=True)
    (path / "changed" / "dataset.toml").write_text(released_shop.CONFIG.replace(old, new))
    config = DatasetConfig.load(path / "changed")
    clean = path / "after" / "clean" / "dataset.json"
    write_json(clean, read_json(clean) | {"config": config.model_dump(mode="json")})
