"""A store that lost rows is told from one that never had them: emptied, partly evicted, or restored from a backup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import redis

from inference.bundles.bundle import Bundle
from inference.feature_store import Freshness, OnlineFeatures, StoreSettings, materialize
from inference.feature_store.catalogue_process import CatalogueKey, CatalogueProcess, Reading
from inference.feature_store.late_reader import LateReader
from inference.feature_store.store_state import EMPTIED, StoreState, fault_of
from tests.kit import world
from tests.kit.bundle_factory import make_bundle
from tests.kit.online_store import fill_store

TIMES = np.array([world.NOW])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def place(redis_server: str, tmp_path: Path) -> Iterator[StoreSettings]:
    """A filled database of its own in the shared server."""
    address = f"redis://{redis_server}/7"
    place = StoreSettings(tmp_path / "online", "world", redis=address)
    fill_store(tmp_path / "features", place)
    yield place
    redis.Redis.from_url(address).flushdb()


@pytest.fixture
def process() -> Iterator[CatalogueProcess]:
    process = CatalogueProcess()
    yield process
    process.close()


def client(place: StoreSettings) -> redis.Redis:
    return redis.Redis.from_url(place.redis)


def item_keys(place: StoreSettings) -> list[bytes]:
    return [key for key in client(place).scan_iter() if b"item_id" in key]


def test_an_emptied_store_leaves_the_catalogue_in_use(place, bundle, process, tmp_path):
    key, feature_set = CatalogueKey(bundle.path, place), bundle.feature_set
    first = Reading(bundle.artifacts().items)
    full = process.read(key, first, feature_set)
    assert (full.fault, full.gaps) == ("", "")
    client(place).flushdb()
    for now in (first, full):  # a server that starts, and one that serves
        kept = process.read(key, now, feature_set)
        assert kept.items is now.items
        assert kept.freshness == now.freshness
        assert kept.fault == EMPTIED
    materialize(tmp_path / "features", feature_set, place, world.NOW)
    again = process.read(key, full, feature_set)
    assert again.fault == ""
    assert np.array_equal(again.items.price, full.items.price)


def test_items_without_a_row_keep_their_values(place, bundle, process, tmp_path):
    key, feature_set = CatalogueKey(bundle.path, place), bundle.feature_set
    full = process.read(key, Reading(bundle.artifacts().items), feature_set)
    materialize(tmp_path / "features", feature_set, place, world.NOW)
    lost = item_keys(place)[:40]
    client(place).delete(*lost)
    partly = process.read(key, full, feature_set)
    assert partly.freshness != full.freshness
    assert f"lacks 40 of the {world.NUM_ITEMS} items" in partly.gaps
    assert "keys, fewer than the" in partly.fault
    for name in ("numeric", "categorical", "price", "available", "created_at", "regions", "min_age"):
        assert np.array_equal(getattr(partly.items, name), getattr(full.items, name), equal_nan=name != "regions"), name
    for number in range(50):  # keys of others hide the number of ours; the items themselves are still missing
        client(place).set(f"other:{number}", "")
    assert f"lacks 40 of the {world.NUM_ITEMS} items" in process.read(key, partly, feature_set).fault
    materialize(tmp_path / "features", feature_set, place, world.NOW)
    assert process.read(key, partly, feature_set).fault == ""


def test_older_features_do_not_replace_newer_ones(place, bundle, process, tmp_path):
    key, feature_set = CatalogueKey(bundle.path, place), bundle.feature_set
    full = process.read(key, Reading(bundle.artifacts().items), feature_set)
    client(place).flushdb()
    materialize(tmp_path / "features", feature_set, place, world.NOW, computed_at=full.freshness.computed_at - 3600)
    kept = process.read(key, full, feature_set)
    assert kept.items is full.items
    assert "older features" in kept.fault
    assert process.read(key, Reading(bundle.artifacts().items), feature_set).fault == ""  # nothing newer is known


def test_sqlite_without_its_rows_is_an_emptied_store(bundle, process, tmp_path):
    place = StoreSettings(tmp_path / "online", "world")
    fill_store(tmp_path / "features", place)
    key, first = CatalogueKey(bundle.path, place), Reading(bundle.artifacts().items)
    assert process.read(key, first, bundle.feature_set).fault == ""
    file = place.sqlite_file(bundle.feature_set)
    file.unlink()
    file.touch()
    process.close()
    kept = CatalogueProcess()
    try:
        assert kept.read(key, first, bundle.feature_set).fault == EMPTIED
    finally:
        kept.close()


def test_a_miss_looks_for_the_marker_at_once(place, bundle):
    state = StoreState()
    reader = LateReader(lambda: OnlineFeatures(bundle.feature_set, world.items().item_ids, place), state)
    assert reader.users(["u1"], TIMES).known.all()
    assert not reader.users(["a stranger"], TIMES).known.any()
    assert state.fault == ""
    client(place).flushdb()
    state._next_check = 0.0
    assert not reader.users(["u1"], TIMES).known.any()
    assert state.fault == EMPTIED


def test_an_eviction_is_a_fault_until_the_next_fill():
    marker = Freshness(2.0, 1.0, num_users=80, num_items=300, num_evicted=5)
    assert fault_of(marker, None, 381, 5) == fault_of(marker, marker, None, 0) == ""
    assert "has evicted keys (6" in fault_of(marker, None, 381, 6)
    assert "holds 380 keys, fewer than the 381" in fault_of(marker, None, 380, 5)
    assert fault_of(Freshness(2.0, 1.0), None, 1, 0) == ""  # of older code, which counted nothing


def test_the_marker_has_the_numbers_of_what_was_written(place, bundle):
    reader = OnlineFeatures(bundle.feature_set, world.items().item_ids, place)
    marker = reader.freshness()
    assert marker is not None
    assert (marker.num_users, marker.num_items) == (world.NUM_USERS, world.NUM_ITEMS)
    assert marker.num_keys == client(place).dbsize()
