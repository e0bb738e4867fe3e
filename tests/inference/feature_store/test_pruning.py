"""Only features of unused feature sets of this dataset are removed."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import redis
from feast.infra.online_stores.helpers import _redis_key

from feature_repo.features.feature_set import FeatureSet
from inference.feature_store import OnlineFeatures, StoreSettings, filling_lock, prune_features
from inference.feature_store.pruning import project_of
from inference.feature_store.values import entity_key
from tests.kit import world
from tests.kit.online_store import fill_store

FEATURES = world.feature_set()
OLD, OLDEST = (FEATURES.model_copy(update={"request_numeric": FEATURES.request_numeric[:n]}) for n in (1, 0))


@pytest.fixture(params=["sqlite", "redis"])
def redis_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    address = f"redis://{request.getfixturevalue('redis_server')}/5"
    redis.Redis.from_url(address).flushdb()
    return address


def known(place: StoreSettings, feature_set: FeatureSet) -> bool:
    reader = OnlineFeatures(feature_set, world.items().item_ids, place)
    return bool(reader.users(["u1"], np.array([world.NOW])).known.all())


def test_features_of_unused_feature_sets_are_removed(redis_url: str, tmp_path: Path) -> None:
    place = StoreSettings(tmp_path / "online", "world", redis=redis_url)
    other = StoreSettings(tmp_path / "online", "small-world", redis=redis_url)
    for feature_set in (FEATURES, OLD, OLDEST):
        fill_store(tmp_path / "features", place, feature_set)
    fill_store(tmp_path / "features", other, OLD)
    if redis_url:
        redis.Redis.from_url(redis_url).mset({"kuberec:world:retraining": "a lease", "foreign_world_final_": "x"})

    def kept() -> list[str]:
        return [place.project(FEATURES.hash)]

    num_keys = world.NUM_USERS + world.NUM_ITEMS + 1
    with filling_lock(place, OLD):  # a release that is under way has no bundle yet
        assert prune_features(place, kept) == (num_keys if redis_url else 1)
        assert known(place, OLD)
    assert prune_features(place, kept) == (num_keys if redis_url else 1)
    assert prune_features(place, kept) == 0
    assert known(place, FEATURES)
    assert known(other, OLD)
    if redis_url:
        assert redis.Redis.from_url(redis_url).dbsize() == 2 * num_keys + 2
    else:
        assert not place.sqlite_file(OLD).exists()


def test_features_of_a_release_that_ends_meanwhile_stay(redis_url: str, tmp_path: Path) -> None:
    place = StoreSettings(tmp_path / "online", "world", redis=redis_url)
    fill_store(tmp_path / "features", place, FEATURES)
    asked: list[int] = []

    def needed() -> list[str]:
        asked.append(len(asked))  # the first question is older than the bundle
        return [place.project(FEATURES.hash)] if len(asked) > 1 else []

    assert prune_features(place, needed) == 0
    assert known(place, FEATURES)
    with filling_lock(place, FEATURES):  # no lock is left
        pass


def test_a_fill_waits_for_a_removal_and_then_starts_again(redis_url: str, tmp_path: Path) -> None:
    place = StoreSettings(tmp_path / "online", "world", redis=redis_url)
    fill_store(tmp_path / "features", place, OLD)
    fills: list[threading.Thread] = []

    def needed() -> list[str]:
        if not fills and len(asked) == 1:  # under the lock
            fills.append(threading.Thread(target=fill_store, args=(tmp_path / "features", place, OLD)))
            fills[0].start()
            time.sleep(0.5)
        asked.append(None)
        return []

    asked: list[None] = []
    assert prune_features(place, needed) > 0
    fills[0].join(timeout=60)
    assert known(place, OLD)


@pytest.mark.parametrize("entity", ["i1", "a_final_0a1b2c3d", "\x00\n", "ü" * 50, ""])
def test_the_project_of_a_key_is_what_feast_wrote(entity: str) -> None:
    for name in ("user_id", "item_id", "record"):
        assert project_of(_redis_key("my_shop_final_0a1b2c3d", entity_key(name, entity))) == "my_shop_final_0a1b2c3d"


@pytest.mark.parametrize(
    "key", [b"", b"kuberec:shop:retraining", b"x" * 40, _redis_key("p", entity_key("driver", "d"))]
)
def test_a_key_of_another_kind_has_no_project(key: bytes) -> None:
    assert project_of(key) == ""
