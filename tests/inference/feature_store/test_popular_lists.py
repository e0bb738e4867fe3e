"""The popular lists of a refresh in the online store, and what a catalogue read makes of a damaged one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from feature_repo.definitions import LIST_BUNDLES, LISTS
from inference.bundles.bundle import Bundle
from inference.feature_store import OnlineFeatures, StoreSettings, materialize
from inference.feature_store.catalogue_process import CatalogueKey, CatalogueProcess, Reading
from inference.feature_store.popular_lists import DAMAGED, StoredList, by_ids, lists_row
from inference.models.popularity import Popularity
from tests.kit import world
from tests.kit.bundle_factory import make_bundle
from tests.kit.online_store import fill_store


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    address = "" if request.param == "sqlite" else f"redis://{request.getfixturevalue('redis_server')}/4"
    if address:
        redis.Redis.from_url(address).flushdb()
    place = StoreSettings(tmp_path / "online", "world", redis=address)
    fill_store(tmp_path / "features", place)
    return place


@pytest.fixture
def process() -> Iterator[CatalogueProcess]:
    process = CatalogueProcess()
    yield process
    process.close()


def refresh(place: StoreSettings, bundle: Bundle, popularity: Popularity) -> None:
    features = place.directory.parent / "features"
    lists = {bundle.version: by_ids(popularity, bundle.artifacts().items.item_ids)}
    materialize(features, bundle.feature_set, place, world.NOW, lists=lists)


def listed(*rows: int, num_items: int = world.NUM_ITEMS) -> Popularity:
    """A list of these items, most popular first."""
    repeated = np.repeat(np.array(rows, dtype=np.int32), np.arange(len(rows), 0, -1))
    size = len(repeated)
    return Popularity.fit(
        repeated,
        np.zeros(size),
        np.full(size, "GB", dtype=object),
        np.ones(size, dtype=np.int8),
        num_items=num_items,
        as_of=1.0,
        half_life_days=1.0,
    )


def overwrite(place: StoreSettings, bundle: Bundle, content: bytes) -> None:
    """Puts something else where the store has the lists."""
    if not place.redis:
        table = f"{place.project(bundle.feature_set.hash)}_popularity"
        with closing(sqlite3.connect(place.sqlite_file(bundle.feature_set))) as connection:
            changed = connection.execute(f"UPDATE {table} SET value = ? WHERE feature_name = ?", [content, LISTS])
            connection.commit()
            assert changed.rowcount == 1
        return
    client: Any = redis.Redis.from_url(place.redis)
    (key,) = (key for key in client.scan_iter() if b"record" in key)
    (field,) = (field for field, value in client.hgetall(key).items() if b"popularity" not in field and b"PK" in value)
    client.hset(key, field, content)


def test_a_catalogue_comes_with_the_list_of_its_bundle(place, bundle, process):
    key, first = CatalogueKey(bundle.path, place), Reading(bundle.artifacts().items)
    filled = process.read(key, first, bundle.feature_set)
    assert (filled.popularity, filled.fault) == (None, "")
    for rows in ([7, 3], [3, 7]):
        refresh(place, bundle, listed(*rows))
        read = process.read(key, filled, bundle.feature_set)
        assert read.fault == ""
        assert read.popularity is not None
        assert read.popularity.top(None, 2)[0].tolist() == rows
        assert read.popularity.top("GB", 2)[0].tolist() == rows
        assert process.read(key, read, bundle.feature_set) is read
    assert process._folder is not None
    assert list(Path(process._folder.name).iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"\xff" * 20, lists_row({"": by_ids(listed(1), world.items().item_ids)}, 0.0)[1][LISTS].SerializeToString()[:-9]],
)
def test_a_damaged_list_is_a_fault_and_the_items_are_read(place, bundle, process, content):
    key, first = CatalogueKey(bundle.path, place), Reading(bundle.artifacts().items)
    refresh(place, bundle, listed(1))
    overwrite(place, bundle, content)
    read = process.read(key, first, bundle.feature_set)
    assert read.items is not first.items
    assert (read.popularity, read.gaps, read.fault) == (None, DAMAGED, DAMAGED)
    assert process.read(key, read, bundle.feature_set) is read  # the fault lasts until the next refresh
    refresh(place, bundle, listed(2))
    assert process.read(key, read, bundle.feature_set).fault == ""


def test_a_list_with_an_item_that_the_bundle_lacks_is_a_fault(place, bundle, process):
    ids = bundle.artifacts().items.item_ids.copy()
    ids[1] = "another item"
    features = place.directory.parent / "features"
    lists = {bundle.version: by_ids(listed(1), ids)}
    materialize(features, bundle.feature_set, place, world.NOW, lists=lists)
    read = process.read(CatalogueKey(bundle.path, place), Reading(bundle.artifacts().items), bundle.feature_set)
    assert (read.popularity, read.fault) == (None, DAMAGED)


def test_a_store_of_older_code_has_no_list(bundle, tmp_path):
    place = StoreSettings(tmp_path / "online", "world")
    fill_store(tmp_path / "features", place)
    with closing(sqlite3.connect(place.sqlite_file(bundle.feature_set))) as connection:
        connection.execute(f"DROP TABLE {place.project(bundle.feature_set.hash)}_popularity")
    reader = OnlineFeatures(bundle.feature_set, world.items().item_ids, place)
    assert reader.popular_list(bundle.version) == StoredList()


def test_lists_name_their_bundles_and_hold_ids():
    ids = np.array([f"item {number}" for number in range(9)], dtype=object)
    _, values, _, _ = lists_row(
        {"one": by_ids(listed(1, num_items=9), ids), "two": by_ids(listed(2, 5, num_items=9), ids)}, 5.0
    )
    assert list(values[LIST_BUNDLES].string_list_val.val) == ["one", "two"]
    for order in (ids, ids[::-1]):  # another row map with the same items
        found = StoredList.of(values, "two", order).popularity
        assert found is not None
        assert order[found.top(None, 2)[0]].tolist() == order[found.top("GB", 2)[0]].tolist() == ["item 2", "item 5"]
        assert order[np.argsort(-found.score)[:2]].tolist() == ["item 2", "item 5"]
        assert np.count_nonzero(found.score) == 2
    assert StoredList.of(values, "three", ids) == StoredList() == StoredList.of(None, "one", ids)
    assert StoredList.of(values, "two", ids[:5]).fault == DAMAGED


def test_a_list_whose_rows_do_not_fit_is_damaged():
    ids = np.array([f"item {number}" for number in range(9)], dtype=object)
    for rows in (np.full(9, 9, np.int32), np.full(9, -1, np.int32), np.zeros(8, np.int32)):
        broken = listed(2, num_items=9)
        object.__setattr__(broken, "top_rows", rows)
        assert not broken.fits(9)
    assert StoredList.of(lists_row({"two": b"PK"}, 5.0)[1], "two", ids).fault == DAMAGED
