"""What serving computes for a (user, item, time) is what the training row says, in both stores."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.features.build import build_features
from feature_repo.dataset.tables import PreparedTables, unix_seconds
from feature_repo.errors import FeatureStoreError
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.folding import GradedEvents, fold
from feature_repo.features.state import History, OwnItems
from feature_repo.features.transforms import assemble
from inference.candidates.query import CandidateSet, Query
from inference.feature_store import (
    FeatureReader,
    Freshness,
    LiveEvent,
    OnlineFeatures,
    StoreSettings,
    live_store,
    materialize,
)
from inference.feature_store.historical import HistoricalFeatures
from tests.kit import random_log
from tests.kit.checkout import ROOT
from tests.kit.prepared_tables import START

DAY = 86400.0
CANDIDATES = 12
USERS = [*(f"u{number}" for number in range(random_log.NUM_USERS + 3)), "nobody"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parity")
    random_log.write(folder / "tables", random_log.rows(seed=3))
    build_features(folder / "tables", folder / "features")
    return folder


@pytest.fixture(scope="module")
def features(folder: Path) -> FeaturesDirectory:
    return FeaturesDirectory(folder / "features")


@pytest.fixture(scope="module")
def historical(features: FeaturesDirectory) -> Iterator[HistoricalFeatures]:
    with HistoricalFeatures(features.path) as reader:
        yield reader


@pytest.fixture(params=["sqlite", "redis"])
def address(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "sqlite" else str(request.getfixturevalue("redis_server"))


def _matrix(reader: FeatureReader, feature_set: FeatureSet, time: float, ahead: float, seed: int) -> np.ndarray:
    """Ranker features of random items for every user, asked up to `ahead` seconds after the time of the items."""
    chance = np.random.default_rng(seed)
    items = reader.items(time)
    queries = [
        Query(user_id=user, time=time + chance.uniform(0, ahead), device="phone", last_item_id="i3") for user in USERS
    ]
    users = reader.users(USERS, np.array([query.time for query in queries]))
    rows = np.concatenate([np.sort(chance.permutation(len(items))[:CANDIDATES]) for _ in queries]).astype(np.int32)
    width = len(feature_set.sources)
    candidates = CandidateSet(
        offsets=np.arange(len(queries) + 1) * CANDIDATES,
        rows=rows,
        source_bits=np.ones(len(rows), dtype=np.uint32),
        source_scores=np.zeros((len(rows), width), dtype=np.float32),
        source_ranks=np.zeros((len(rows), width), dtype=np.float32),
        score=np.zeros(len(rows), dtype=np.float32),
    )
    return assemble(queries, users, items, candidates, feature_set)


def test_serving_computes_the_training_row(
    folder: Path, features: FeaturesDirectory, historical: HistoricalFeatures, address: str, tmp_path: Path
) -> None:
    feature_set, split = features.feature_set(), PreparedTables.open(folder / "tables").split
    times = [split.rank_start, split.validation_start, split.test_start, split.stamp(split.log_end)]
    events = unix_seconds(PreparedTables.open(folder / "tables").interactions["timestamp"])
    for number, time in enumerate(times):
        ahead = min(float((events[events >= time] - time).min(initial=3600)), 3600)  # the next event changes a history
        settings = StoreSettings(tmp_path / str(number), "shop", f"parity{number}", address)
        materialize(features.path, feature_set, settings, time)
        online = OnlineFeatures(feature_set, features.item_ids(), settings)
        served = _matrix(online, feature_set, time, ahead, number)
        trained = _matrix(historical, feature_set, time, ahead, number)
        assert served.shape == (len(USERS) * CANDIDATES, len(feature_set.ranker_features))
        for place, name in enumerate(feature_set.ranker_features):
            np.testing.assert_array_equal(served[:, place], trained[:, place], err_msg=name)
        varied = [len(np.unique(column[~np.isnan(column)])) > 1 for column in trained.T]
        assert np.mean(varied) > 0.7  # equal because compared, not because empty


def test_live_events_make_the_served_row_the_training_row(
    folder: Path, features: FeaturesDirectory, historical: HistoricalFeatures, address: str, tmp_path: Path
) -> None:
    """Posted events of half a day are in the features of later requests, as in the rows that training joins."""
    tables = PreparedTables.open(folder / "tables")
    feature_set, split = features.feature_set(), tables.split
    grades = random_log.SETTINGS.event_grades
    num_changed = 0
    for number, time in enumerate((split.validation_start, split.test_start)):
        settings = StoreSettings(tmp_path / str(number), f"shop-{tmp_path.name}", f"live{number}", address)
        materialize(features.path, feature_set, settings, time)
        posted = [
            LiveEvent(row["user_id"], row["event_id"], row["item_id"], row["event_type"], moment)
            for row in tables.interactions.to_pylist()
            if time * 1e6 <= (moment := round(row["timestamp"].timestamp() * 1e6)) < (time + DAY / 2) * 1e6
        ]
        live_store(settings).append([*posted, *posted[:2]])
        online = OnlineFeatures(feature_set, features.item_ids(), settings, grades)
        served = _matrix(online, feature_set, time, DAY / 2, number)
        trained = _matrix(historical, feature_set, time, DAY / 2, number)
        for place, name in enumerate(feature_set.ranker_features):
            np.testing.assert_array_equal(served[:, place], trained[:, place], err_msg=name)
        stale = _matrix(OnlineFeatures(feature_set, features.item_ids(), settings), feature_set, time, DAY / 2, number)
        num_changed += int((np.nan_to_num(stale) != np.nan_to_num(served)).any(axis=1).sum())
    assert num_changed > 0


def test_histories_are_the_same(
    folder: Path, features: FeaturesDirectory, historical: HistoricalFeatures, address: str, tmp_path: Path
) -> None:
    feature_set, end = features.feature_set(), PreparedTables.open(folder / "tables").split.log_end + 1
    settings = StoreSettings(tmp_path, "shop", "histories", address)
    materialize(features.path, feature_set, settings, end)
    times = np.full(len(USERS), end)
    served = OnlineFeatures(feature_set, features.item_ids(), settings).users(USERS, times)
    trained = historical.users(USERS, times)
    assert served.known.tolist() == [*[True] * (len(USERS) - 1), False]
    np.testing.assert_array_equal(served.known, trained.known)
    assert served.country.tolist() == trained.country.tolist()
    assert "NO" in served.country.tolist()
    assert len(served.history.rows) > 100
    for part in ("history", "own"):
        for name in getattr(served, part).__slots__:
            np.testing.assert_array_equal(getattr(getattr(served, part), name), getattr(getattr(trained, part), name))
    for start, stop in zip(served.own.offsets, served.own.offsets[1:], strict=False):
        assert (np.diff(served.own.rows[start:stop]) > 0).all()


def test_events_after_a_snapshot_fold_into_the_later_snapshot(
    folder: Path, features: FeaturesDirectory, historical: HistoricalFeatures, tmp_path: Path
) -> None:
    """The stored state of one cut and the events up to the next give exactly the stored state of the next."""
    feature_set, split = features.feature_set(), PreparedTables.open(folder / "tables").split
    cuts = [split.rank_start, split.rank_start + DAY, split.test_start, split.stamp(split.log_end)]
    stored = []
    for number, cut in enumerate(cuts):
        settings = StoreSettings(tmp_path / str(number), "shop", f"fold{number}")
        materialize(features.path, feature_set, settings, cut)
        reader = OnlineFeatures(feature_set, features.item_ids(), settings)
        stored.append(reader.users(USERS, np.full(len(USERS), cut)))
    interactions = PreparedTables.open(folder / "tables").interactions.to_pylist()
    row_of = {item_id: row for row, item_id in enumerate(features.item_ids())}
    num_folded = 0
    for before, after, start, end in zip(stored, stored[1:], cuts, cuts[1:], strict=False):
        happened = [
            [
                (row_of[event["item_id"]], event["grade"], event["timestamp"].timestamp())
                for event in interactions
                if event["user_id"] == user and event["grade"] and start <= event["timestamp"].timestamp() < end
            ]
            for user in USERS
        ]
        flat = np.array([entry for part in happened for entry in part]).reshape(-1, 3)
        events = GradedEvents(
            offsets=np.concatenate([[0], np.cumsum([len(part) for part in happened])]),
            rows=flat[:, 0].astype(np.int32),
            grades=flat[:, 1].astype(np.int8),
            times=flat[:, 2],
        )
        num_folded += len(flat)
        assert_same_state(fold(before.history, before.own, events), (after.history, after.own))
        trained = historical.users(USERS, np.full(len(USERS), end))
        assert_same_state((trained.history, trained.own), (after.history, after.own))
    assert num_folded > 50


def assert_same_state(found: tuple[History, OwnItems], expected: tuple[History, OwnItems]) -> None:
    """Histories and own items are equal, types included."""
    pairs: list[tuple[Any, Any]] = list(zip(found, expected, strict=True))
    for mine, other in pairs:
        for name in other.__slots__:
            np.testing.assert_array_equal(getattr(mine, name), getattr(other, name), err_msg=name)
            assert getattr(mine, name).dtype == getattr(other, name).dtype


def test_a_history_ends_at_the_query(folder: Path, historical: HistoricalFeatures, features: FeaturesDirectory) -> None:
    """An event belongs to the history from the next microsecond on, long before the next snapshot."""
    interactions = PreparedTables.open(folder / "tables").interactions.to_pylist()
    split = PreparedTables.open(folder / "tables").split
    late = [event for event in interactions if event["grade"] > 0 and event["timestamp"].timestamp() > split.test_start]
    ids = features.item_ids()
    for event in late[::7]:
        time = event["timestamp"].timestamp()
        before, after = (
            historical.users([event["user_id"]], np.array([moment])).history for moment in (time, time + 1e-6)
        )
        assert (before.times < time).all()
        assert ids[after.rows[-1]] == event["item_id"]
        assert after.times[-1] == time


def test_a_user_is_known_by_the_first_event(folder: Path, tmp_path: Path) -> None:
    """A user whose only snapshot follows the query has no numbers yet, but a history."""
    tables = random_log.rows(seed=3)
    first = START + timedelta(days=random_log.DAYS, hours=-5)
    tables["interactions"].append({**tables["interactions"][0], "user_id": "fresh", "timestamp": first})
    random_log.write(tmp_path / "tables", tables)
    build_features(tmp_path / "tables", tmp_path / "features")
    moments = np.array([first.timestamp(), first.timestamp() + 1e-6])
    with HistoricalFeatures(tmp_path / "features") as reader:
        users = reader.users(["fresh", "fresh"], moments)
    assert users.known.tolist() == [False, True]
    assert np.diff(users.history.offsets).tolist() == [0, 1]


def test_a_prefetched_join_answers_as_single_ones(features: FeaturesDirectory, folder: Path) -> None:
    split = PreparedTables.open(folder / "tables").split
    times = np.random.default_rng(0).uniform(split.rank_start, split.log_end, 60)
    users = [USERS[number % len(USERS)] for number in range(60)]
    with HistoricalFeatures(features.path) as ahead, HistoricalFeatures(features.path) as alone:
        ahead.prefetch(users, times)
        many = ahead.users(users, times)
        for place in range(0, 60, 9):
            one = alone.users(users[place : place + 1], times[place : place + 1])
            np.testing.assert_array_equal(one.numeric[0], many.numeric[place])
            start, stop = many.history.offsets[place : place + 2]
            np.testing.assert_array_equal(one.history.rows, many.history.rows[start:stop])
            np.testing.assert_array_equal(ahead.items(times[place]).numeric, alone.items(times[place]).numeric)


def test_nobody_and_the_time_before_everything(historical: HistoricalFeatures, features: FeaturesDirectory) -> None:
    assert len(historical.users([], np.array([]))) == 0
    early = historical.users(["u1"], np.array([START.timestamp() - DAY]))
    assert not early.known.any()
    assert len(early.own.rows) == 0


def test_two_feature_sets_live_side_by_side(features: FeaturesDirectory, address: str, tmp_path: Path) -> None:
    feature_set = features.feature_set()
    other = feature_set.model_copy(update={"request_numeric": ()})
    settings = StoreSettings(tmp_path, "shop", "beside", address)
    materialize(features.path, feature_set, settings, 4e9)
    before = OnlineFeatures(feature_set, features.item_ids(), settings).users(["u1"], np.array([4e9]))
    materialize(features.path, other, settings, START.timestamp())  # nothing is known by then
    after = OnlineFeatures(feature_set, features.item_ids(), settings).users(["u1"], np.array([4e9]))
    np.testing.assert_array_equal(before.numeric, after.numeric)
    assert not OnlineFeatures(other, features.item_ids(), settings).users(["u1"], np.array([4e9])).known.any()


def test_a_rollback_may_put_older_values_back(
    folder: Path, features: FeaturesDirectory, historical: HistoricalFeatures, address: str, tmp_path: Path
) -> None:
    feature_set, split = features.feature_set(), PreparedTables.open(folder / "tables").split
    settings = StoreSettings(tmp_path, "shop", "rollback", address)
    online = None
    for time in (split.stamp(split.log_end), split.validation_start):
        materialize(features.path, feature_set, settings, time)
        online = online or OnlineFeatures(feature_set, features.item_ids(), settings)
        np.testing.assert_array_equal(online.items(time).numeric, historical.items(time).numeric)


def test_the_store_says_when_its_features_were_computed(
    features: FeaturesDirectory, address: str, tmp_path: Path
) -> None:
    feature_set, settings = features.feature_set(), StoreSettings(tmp_path, "shop", "freshness", address)
    other = feature_set.model_copy(update={"request_numeric": ()})
    written = materialize(features.path, feature_set, settings, 3e9, computed_at=5e8)
    assert written["item_stats"] == random_log.NUM_ITEMS + 2
    assert written["user_stats"] == random_log.NUM_USERS + 3
    online = OnlineFeatures(feature_set, features.item_ids(), settings)
    counts = written["user_stats"], written["item_stats"]
    assert online.freshness() == Freshness(5e8, 3e9, *counts)
    materialize(features.path, other, settings, 4e9)
    counts = written["user_stats"], written["item_stats"]
    assert online.freshness() == Freshness(5e8, 3e9, *counts)
    written = materialize(features.path, feature_set, settings, 2e9, computed_at=6e8)
    assert online.freshness() == Freshness(6e8, 2e9, written["user_stats"], written["item_stats"])


def test_a_store_that_was_filled_before_there_were_records_has_none(
    features: FeaturesDirectory, tmp_path: Path
) -> None:
    feature_set, settings = features.feature_set(), StoreSettings(tmp_path, "shop")
    materialize(features.path, feature_set, settings, 4e9)
    with sqlite3.connect(settings.sqlite_file(feature_set)) as connection:
        (table,) = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE '%_freshness'").fetchone()
        connection.execute(f"DROP TABLE {table}")
    assert OnlineFeatures(feature_set, features.item_ids(), settings).freshness() is None
    materialize(features.path, feature_set, settings, 4e9)
    assert OnlineFeatures(feature_set, features.item_ids(), settings).freshness() is not None


def test_a_store_that_is_not_there_is_said_so(features: FeaturesDirectory, tmp_path: Path) -> None:
    with pytest.raises(FeatureStoreError, match="materialise"):
        OnlineFeatures(features.feature_set(), features.item_ids(), StoreSettings(tmp_path, "shop"))
    gone = StoreSettings(tmp_path, "shop", redis="127.0.0.1:1")
    with pytest.raises(FeatureStoreError, match="cannot be read"):
        OnlineFeatures(features.feature_set(), features.item_ids(), gone).users(["u1"], np.array([0.0]))
    with pytest.raises(FeatureStoreError, match="cannot be filled"):
        materialize(features.path, features.feature_set(), gone, 4e9)


def test_servers_read_without_the_packages_of_training(features: FeaturesDirectory, tmp_path: Path) -> None:
    materialize(features.path, features.feature_set(), StoreSettings(tmp_path, "shop"), 4e9)
    program = f"""
import sys
for package in ("duckdb", "ibis", "torch", "kfp", "lightgbm"):
    sys.modules[package] = None
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from feature_repo.features.directory import FeaturesDirectory
from inference.feature_store import OnlineFeatures, StoreSettings
features = FeaturesDirectory(Path({str(features.path)!r}))
settings = StoreSettings(Path({str(tmp_path)!r}), "shop")
reader = OnlineFeatures(features.feature_set(), features.item_ids(), settings)
print(reader.users(["u1", "nobody"], np.zeros(2)).known.tolist(), len(reader.items(0.0)))
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert found.stdout == f"[True, False] {len(features.item_ids())}\n", found.stderr
    assert found.stderr == ""


def test_threads_may_share_a_reader(features: FeaturesDirectory, address: str, tmp_path: Path) -> None:
    settings = StoreSettings(tmp_path, "shop", "threads", address)
    materialize(features.path, features.feature_set(), settings, 4e9)
    reader = OnlineFeatures(features.feature_set(), features.item_ids(), settings)
    alone = {user: reader.users([user], np.array([4e9])).numeric for user in USERS}
    with ThreadPoolExecutor(8) as pool:
        asked = USERS * 20
        for user, found in zip(asked, pool.map(lambda user: reader.users([user], np.array([4e9])), asked), strict=True):
            np.testing.assert_array_equal(found.numeric, alone[user])
