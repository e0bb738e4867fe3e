"""The live record in both stores: what it keeps, and which events count for a query."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import FeatureStoreError
from feature_repo.features.folding import GradedEvents
from feature_repo.features.state import OwnItems
from inference.feature_store import LiveEvent, LiveStore, StoreSettings, live_store
from inference.feature_store.live.record import LATE_SECONDS, MOST_EVENTS, graded_live
from inference.feature_store.state_columns import RowMap
from tests.kit.ports import free_port

NOW = 1_800_000_000


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    address = "" if request.param == "sqlite" else str(request.getfixturevalue("redis_server"))
    return StoreSettings(tmp_path, f"live-{request.param}-{tmp_path.name}", redis=address)


def taken(user: str, number: int, item: str = "i0", kind: str = "click", second: float = 0.0) -> LiveEvent:
    return LiveEvent(user, f"{user}-{number}", item, kind, round((NOW + second) * 1e6))


def test_events_come_back_in_the_order_of_arrival(place: StoreSettings) -> None:
    store = live_store(place)
    assert store.read(["u1", "u2"]) == [[], []]
    first, second, other = taken("u1", 1, "ï 'x"), taken("u1", 0), taken("u2", 0, kind="purchase")
    store.append([first, other])
    live_store(place).append([second])
    assert store.read(["u1", "nobody", "u2", "u1"]) == [[first, second], [], [other], [first, second]]
    elsewhere = StoreSettings(place.directory, "another-shop", redis=place.redis)
    assert live_store(elsewhere).read(["u1"]) == [[]]


def test_only_the_newest_events_of_a_user_are_kept(place: StoreSettings) -> None:
    store = live_store(place)
    events = [taken("u1", number) for number in range(MOST_EVENTS + 7)]
    store.append(events[:150])
    store.append([*events[150:], taken("u2", 0)])
    assert store.read(["u1"]) == [events[7:]]
    assert len(store.read(["u2"])[0]) == 1


def test_servers_append_at_once_and_lose_nothing(place: StoreSettings) -> None:
    stores = [live_store(place) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: stores[n % 4].append([taken("u1", n), taken(f"u{n}", n)]), range(2, 62)))
    assert sorted(live_store(place).read(["u1"])[0]) == sorted(taken("u1", n) for n in range(2, 62))


def test_a_record_expires(place: StoreSettings) -> None:
    live_store(place).append([taken("u1", 0)])
    if place.redis:
        client = __import__("redis").Redis.from_url(f"redis://{place.redis}")
        assert 0 < client.ttl(f"kuberec:live:{place.dataset}:u1") <= 3 * 86_400
        client.close()
        return
    with sqlite3.connect(place.directory / f"live-{place.dataset}.db") as connection:
        connection.execute("UPDATE live SET kept = kept - 4 * 86400")
    connection.close()
    live_store(place).append([taken("u2", 0)])
    assert live_store(place).read(["u1"]) == [[]]


def test_a_store_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "live-shop.db").write_text("no database")
    stores: list[LiveStore] = [
        live_store(StoreSettings(tmp_path, "shop")),
        live_store(StoreSettings(tmp_path, "shop", redis=f"127.0.0.1:{free_port()}")),
    ]
    for store in stores:
        with pytest.raises(FeatureStoreError, match=r"^Live events cannot be .*\.$"):
            store.append([taken("u1", 0)])
        with pytest.raises(FeatureStoreError, match=r"^Live events cannot be .*\.$"):
            store.read(["u1"])


def counted(events: list[LiveEvent], since: float, time: float, own: dict[int, float]) -> GradedEvents:
    """The events that count for one user with own items (row -> last event)."""
    nothing = np.zeros(len(own), dtype=np.float32)
    state = OwnItems(
        offsets=np.array([0, len(own)]),
        rows=np.array(sorted(own), dtype=np.int32),
        counts=nothing,
        negatives=nothing,
        grades=np.ones(len(own), dtype=np.int8),
        first=np.zeros(len(own)),
        last=np.array([own[row] for row in sorted(own)]),
    )
    items = RowMap(np.array(["i0", "i1", "i2"], dtype=object))
    grades = {"click": 1, "purchase": 2, "return": -1}
    return graded_live([events], [datetime.fromtimestamp(since, UTC)], state, np.array([time]), grades, items)


def test_what_counts_is_graded_known_and_between_snapshot_and_query() -> None:
    events = [
        taken("u", 0, "i1", "purchase", 30),
        taken("u", 1, "i0", "click", 10),
        taken("u", 1, "i2", "click", 20),  # posted twice
        taken("u", 2, "i2", "search", 11),
        taken("u", 3, "gone", "click", 12),
        taken("u", 4, "i2", "return", 30),
        taken("u", 5, "i2", "click", 40),  # at the query
    ]
    found = counted(events, NOW, NOW + 40, {})
    assert found.offsets.tolist() == [0, 3]
    assert list(zip(found.rows.tolist(), found.grades.tolist(), strict=True)) == [(0, 1), (1, 2), (2, -1)]
    assert found.times.tolist() == [NOW + 10, NOW + 30, NOW + 30]


def test_what_the_snapshot_holds_does_not_count_again() -> None:
    """The snapshot is of second 60. It holds i0; i1 reached the log later, and so did i2, too long ago."""
    events = [
        taken("u", 0, "i0", second=30),
        taken("u", 1, "i1", second=31),
        taken("u", 2, "i2", second=59 - LATE_SECONDS),
        taken("u", 3, "i0", second=60),
    ]
    found = counted(events, NOW + 60, NOW + 100, {0: NOW + 30.0, 1: NOW + 5.0})
    assert found.rows.tolist() == [1, 0]
    assert found.times.tolist() == [NOW + 31, NOW + 60]


def test_nobody_has_events() -> None:
    assert counted([], NOW, NOW + 1, {}).offsets.tolist() == [0, 0]
