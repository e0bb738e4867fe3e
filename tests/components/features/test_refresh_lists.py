"""A refresh renews the popular lists that servers show, for every bundle whose features it fills."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import redis
from prometheus_client import CollectorRegistry

from components.features.refresh import Refreshed, refresh_features
from components.index.popular import fit_popularity
from components.replay.cutoff import CUTOFF_FILE, Cutoff
from components.replay.events import Events
from components.replay.renewal import Renewal, RenewalPolicy
from feature_repo.dataset.tables import PreparedTables
from feature_repo.storage.files import write_json
from inference.bundles.bundle import ITEM_IDS, Bundle
from inference.bundles.manifest import MANIFEST_FILE, Manifest, describe
from inference.bundles.store import BundleStore
from inference.candidates.query import Query
from inference.feature_store import OnlineFeatures, StoreSettings, materialize
from inference.feature_store.historical import HistoricalFeatures
from inference.feature_store.popular_lists import StoredList
from inference.metrics import Metrics
from inference.models.popularity import Popularity
from inference.models.snapshot import load_item_ids, save_item_ids
from inference.server.backend import Backend
from inference.settings import ServingSettings
from tests.kit import released_shop
from tests.kit.log_parts import event, write_part
from tests.kit.servers import wait_for

LATER = released_shop.END + timedelta(hours=2)
NOW = (LATER + timedelta(hours=1)).timestamp()
UNKNOWN_ITEM = "i0a"  # sorts between items of the row map
NUM_CLICKS = 300
READ_AT = 4e9


def write_clicks(log: Path, item: str) -> None:
    """A served log in which an item becomes the most popular one, after an item that no bundle knows."""
    kinds = [UNKNOWN_ITEM] * (2 * NUM_CLICKS) + [item] * NUM_CLICKS
    rows = [
        event(f"c{number}", f"v{number % 50}", name, "click", LATER + timedelta(seconds=number))
        for number, name in enumerate(kinds)
    ]
    write_part(log, "interactions", "a", rows)


@dataclass
class Shop:
    """A released dataset and clean tables with a log that goes on, next to a real online store."""

    path: Path
    redis: str

    @property
    def store(self) -> BundleStore:
        return BundleStore(str(self.path / "store"))

    @property
    def tables(self) -> PreparedTables:
        return PreparedTables.open(self.path / "after" / "clean")

    @property
    def served(self) -> Bundle:
        return self.store.fetch(self.store.current() or "")

    @property
    def online(self) -> StoreSettings:
        return StoreSettings(self.path / "store" / "online", "shop", redis=self.redis)

    def fill(self) -> None:
        """Fills the online store as a release does."""
        features, split = self.path / "release" / "features", self.tables.split
        materialize(features, self.served.feature_set, self.online, split.stamp(released_shop.END.timestamp()), 1e9)

    def refresh(self, now: float = NOW, read_at: float = READ_AT) -> Refreshed:
        return refresh_features(self.tables.directory, self.store, lambda _: self.online, now, read_at)

    def stored(self, version: str) -> StoredList:
        item_ids, _ = self.store.popular_list(version)
        return OnlineFeatures(self.served.feature_set, item_ids, self.online).popular_list(version)

    def fitted(self, as_of: float, half_life: float = 7.0, version: str = "") -> Popularity:
        item_ids, _ = self.store.popular_list(version or self.served.version)
        return fit_popularity(Events.read(self.tables, item_ids), len(item_ids), as_of, half_life)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop, in which the least popular item of the bundle is clicked after the release."""
    path = tmp_path_factory.mktemp("world")
    released_shop.write_dataset(path / "dataset")
    bundle = released_shop.release(path / "dataset", path / "release", BundleStore(str(path / "store")))
    write_clicks(path / "log", least_popular(bundle))
    released_shop.clean_tables(path / "dataset", path / "after", path / "log")
    return path


@pytest.fixture(params=["sqlite", "redis"])
def shop(request: pytest.FixtureRequest, world: Path, tmp_path: Path) -> Shop:
    address = "" if request.param == "sqlite" else f"redis://{request.getfixturevalue('redis_server')}/5"
    if address:
        redis.Redis.from_url(address).flushdb()
    shutil.copytree(world, tmp_path / "shop")
    return Shop(tmp_path / "shop", address)


@pytest.fixture
def server(shop: Shop) -> Iterator[Backend]:
    """The parts of a running transformer, which polls both stores; its predictor is away."""
    settings = ServingSettings(
        store=str(shop.path / "store"),
        redis=shop.redis,
        predictor="127.0.0.1:1",
        poll_seconds=0.1,
        items_seconds=0.1,
        users_seconds=5.0,
        sources_seconds=5.0,
    )
    backend = Backend.open(settings, Metrics(CollectorRegistry()))
    yield backend
    backend.close()


def least_popular(bundle: Bundle) -> str:
    artifacts = bundle.artifacts()
    return str(artifacts.items.item_ids[artifacts.part(Popularity).top_rows[-1]])


def assert_same(one: Popularity | None, other: Popularity | None) -> None:
    assert one is not None
    assert other is not None
    for field in fields(Popularity):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)


def popular(backend: Backend) -> tuple[list[str], Popularity, float]:
    """The feed of an unknown user, the list that it was made of, and when the features were computed."""
    release = backend.releases.current()
    assert release is not None
    assert release.store.fault == ""
    slate = release.recommender.recommend([Query("stranger", NOW, count=5)])[0]
    ids = [str(release.artifacts.items.item_ids[row]) for row in slate.rows]
    return ids, release.artifacts.part(Popularity), release.computed_at


def test_a_running_server_shows_the_popular_order_of_a_refresh(shop: Shop, server: Backend) -> None:
    shop.fill()
    server.start()
    wait_for(lambda: server.releases.current() is not None and popular(server)[2] == 1e9, "the store was not read")
    ids, listed, _ = popular(server)
    risen = least_popular(shop.served)
    assert_same(listed, shop.served.artifacts().part(Popularity))  # the store has no list
    assert risen not in ids
    done = shop.refresh()
    wait_for(lambda: popular(server)[2] == READ_AT, "the refresh was not read")
    ids, listed, _ = popular(server)
    assert ids[0] == risen
    assert_same(listed, shop.fitted(done.as_of))


def test_a_refreshed_list_is_the_list_of_a_replay_at_the_same_time(shop: Shop) -> None:
    done = shop.refresh()
    write_json(shop.path / "cutoff" / CUTOFF_FILE, {"half_life_days": 7.0})
    features = shop.path / "release" / "features"
    with HistoricalFeatures(features) as reader:
        cuts = np.array([done.as_of])
        renewal = Renewal(shop.tables, Cutoff(shop.path / "cutoff", features), reader, cuts, RenewalPolicy())
        replayed = renewal(shop.served.artifacts(), done.as_of).part(Popularity)
    stored = shop.stored(done.bundle).popularity
    assert_same(stored, replayed)
    assert stored is not None
    assert stored.as_of == done.as_of


def test_an_older_refresh_keeps_the_newer_list(shop: Shop) -> None:
    newer = shop.refresh()
    older = shop.refresh(NOW - 1800, READ_AT - 60)
    assert (newer.overtaken, older.overtaken) == (False, True)
    assert older.as_of < newer.as_of
    assert_same(shop.stored(newer.bundle).popularity, shop.fitted(newer.as_of))
    shop.fill()  # by a release that read the dataset earlier
    assert_same(shop.stored(newer.bundle).popularity, shop.fitted(newer.as_of))


def test_bundles_with_the_same_features_have_separate_lists(shop: Shop) -> None:
    first = shop.served.version
    second = release_fewer_items(shop)
    done = shop.refresh()
    assert done.bundles == (second, first)
    assert_same(shop.stored(first).popularity, shop.fitted(done.as_of, version=first))
    assert_same(shop.stored(second).popularity, shop.fitted(done.as_of, 1.0, second))
    assert shop.store.rollback() == first
    shop.refresh(read_at=READ_AT + 1)
    assert shop.stored(first).popularity is not None
    assert shop.stored(second) == StoredList()  # neither served nor served before


def release_fewer_items(shop: Shop) -> str:
    """Serves a bundle with the features of the served one, a smaller row map and another half-life."""
    origin = shop.served
    version = f"{origin.version}-fewer"
    folder = shop.path / "store" / "bundles" / version
    shutil.copytree(origin.path, folder)
    item_ids = load_item_ids(folder / ITEM_IDS)[1:]
    save_item_ids(folder / ITEM_IDS, item_ids)
    fit_popularity(Events.read(shop.tables, item_ids), len(item_ids), 0.0, 1.0).save(folder)
    files = {name: file for name, file in describe(folder).items() if name != MANIFEST_FILE}
    manifest = Manifest.read(folder).model_copy(update={"version": version, "files": files})
    write_json(folder / MANIFEST_FILE, manifest.model_dump(mode="json"))
    shop.store.set_current(version)
    return version
