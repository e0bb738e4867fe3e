"""Users from the online store while it is away, replaced, or back."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest

from feature_repo.errors import FeatureStoreError
from inference.feature_store import OnlineFeatures, StoreSettings
from inference.feature_store.late_reader import LateReader
from tests.kit import world
from tests.kit.online_store import fill_store
from tests.kit.ports import free_port


def test_late_reader_opens_later_and_does_not_hammer():
    attempts = []

    def opening():
        attempts.append(1)
        if len(attempts) < 2:
            raise FeatureStoreError("away")
        return world.Store(world.feature_set())

    reader = LateReader(opening, retry_seconds=0.2)
    for _ in range(3):
        with pytest.raises(FeatureStoreError, match="away"):
            reader.users(["u1"], np.array([world.NOW]))
    assert len(attempts) == 1
    time.sleep(0.25)
    assert reader.users(["u1"], np.array([world.NOW])).known.all()
    assert len(attempts) == 2


def test_late_reader_opens_anew_after_a_failure():
    opened: list[int] = []

    class Reader(world.Store):
        def users(self, user_ids, times):
            if len(opened) == 1:
                raise FeatureStoreError("replaced")
            return super().users(user_ids, times)

    def opening():
        opened.append(1)
        return Reader(world.feature_set())

    reader = LateReader(opening)
    with pytest.raises(FeatureStoreError, match="replaced"):
        reader.users(["u1"], np.array([world.NOW]))
    assert reader.users(["u1"], np.array([world.NOW])).known.all()
    assert len(opened) == 2


def test_a_replaced_sqlite_store_is_noticed(tmp_path):
    features = world.feature_set()
    place = StoreSettings(tmp_path / "online", "world")
    fill_store(tmp_path / "features", place)
    reader = OnlineFeatures(features, world.items().item_ids, place)
    assert reader.users(["u1"], np.array([world.NOW])).known.all()
    file = place.sqlite_file(features)
    shutil.copy(file, tmp_path / "copy")
    (tmp_path / "copy").rename(file)
    with pytest.raises(FeatureStoreError, match="replaced"):
        reader.users(["u1"], np.array([world.NOW]))
    file.unlink()
    with pytest.raises(FeatureStoreError):
        reader.items(world.NOW)


def test_an_absent_redis_fails_at_once(tmp_path):
    place = StoreSettings(tmp_path, "world", redis=f"127.0.0.1:{free_port()}")
    reader = OnlineFeatures(world.feature_set(), world.items().item_ids, place)
    start = time.perf_counter()
    for _ in range(3):
        with pytest.raises(FeatureStoreError):
            reader.users(["u1"], np.array([world.NOW]))
    assert time.perf_counter() - start < 1
