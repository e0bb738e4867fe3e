"""One process fills a feature set at a time, and of runs that overlap the newest data counts."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import redis

from feature_repo.errors import FeatureStoreError
from inference.feature_store import OnlineFeatures, StoreSettings, filling_lock, materialize
from inference.feature_store.filling_lock import lock_key
from tests.kit import world
from tests.kit.online_store import fill_store

FEATURES = world.feature_set()


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    address = "" if request.param == "sqlite" else f"redis://{request.getfixturevalue('redis_server')}/6"
    if address:
        redis.Redis.from_url(address).flushdb()
    return StoreSettings(tmp_path / "online", "world", redis=address)


def computed_at(place: StoreSettings) -> float:
    marker = OnlineFeatures(FEATURES, world.items().item_ids, place).freshness()
    assert marker is not None
    return marker.computed_at


def test_an_overtaken_run_leaves_the_newer_features(
    place: StoreSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fill_store(tmp_path / "features", place)
    newer = time.time() + 1000
    assert materialize(tmp_path / "features", FEATURES, place, world.NOW, newer)["item_stats"] == world.NUM_ITEMS
    assert materialize(tmp_path / "features", FEATURES, place, world.NOW, newer - 600) == {}
    assert "was read 600 s later by a run that overtook this run: they stay." in capfd.readouterr().err
    assert computed_at(place) == newer


def test_a_second_process_waits_for_the_first(place: StoreSettings, tmp_path: Path) -> None:
    fill_store(tmp_path / "features", place)
    before, wanted = computed_at(place), time.time() + 1000
    filling = threading.Thread(
        target=materialize, args=(tmp_path / "features", FEATURES, place, world.NOW, wanted), daemon=True
    )
    with filling_lock(place, FEATURES):
        filling.start()
        time.sleep(1.0)
        assert computed_at(place) == before
    filling.join(timeout=60)
    assert computed_at(place) == wanted


@pytest.mark.parametrize("damage", [None, b"", b"not a database" * 1000])
def test_a_file_that_was_removed_or_damaged_is_filled_again(damage: bytes | None, tmp_path: Path) -> None:
    place = StoreSettings(tmp_path / "online", "world")
    fill_store(tmp_path / "features", place)
    file = place.sqlite_file(FEATURES)
    with closing(sqlite3.connect(file)) as reader:  # a server, whose journals stay
        reader.execute("SELECT count(*) FROM sqlite_master").fetchall()
        assert file.with_name(f"{file.name}-wal").exists()
        file.unlink()
        if damage is not None:
            file.write_bytes(damage)
        assert materialize(tmp_path / "features", FEATURES, place, world.NOW)["item_stats"] == world.NUM_ITEMS
    assert computed_at(place) > 0


def test_a_redis_that_is_emptied_during_a_fill_is_not_taken_for_filled(redis_server: str, tmp_path: Path) -> None:
    place = StoreSettings(tmp_path / "online", "world", redis=f"redis://{redis_server}/6")
    client = redis.Redis.from_url(place.redis)
    with filling_lock(place, FEATURES) as lock:
        assert client.exists(lock_key(place.project(FEATURES.hash)))
        lock.keep()
        client.flushdb()
        with pytest.raises(FeatureStoreError, match="was lost while it was filled"):
            lock.keep()
    assert client.dbsize() == 0


def test_a_full_redis_names_the_command_that_makes_room(redis_server: str, tmp_path: Path) -> None:
    place = StoreSettings(tmp_path / "online", "world", redis=f"redis://{redis_server}/6")
    fill_store(tmp_path / "features", place)
    client = redis.Redis.from_url(place.redis)
    with filling_lock(place, FEATURES) as lock:
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(FeatureStoreError, match=r"components\.release prune` removes unused features"):
                materialize(tmp_path / "features", FEATURES, place, world.NOW, time.time() + 1000, lock)
        finally:
            client.config_set("maxmemory", 0)
