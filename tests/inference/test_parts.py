"""Single parts of the recommender by hand: executor, sources, filters, contents, ages."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from feature_repo.errors import FeatureStoreError
from inference.candidates.users import cold_users, span
from inference.filters.availability import AvailabilityFilter
from inference.flow.executor import FAILURES, Executor, Trace
from inference.flow.merge import bare, with_rows
from inference.flow.reasons import verbs
from inference.models.artifacts import least_age
from inference.models.contents import Contents
from inference.sources.own import OwnSource
from tests.inference import world


class Counter:
    def __init__(self):
        self.stages, self.marks, self.removed = [], [], []

    def stage(self, name, seconds):
        self.stages.append((name, seconds))

    def degraded(self, reason):
        self.marks.append(reason)

    def filtered(self, name, num):
        self.removed.append((name, num))


@pytest.mark.parametrize("threads", [0, 2])
def test_executor_fails_open_counts_and_times(threads):
    counter, trace = Counter(), Trace()
    executor = Executor(strict=False, threads=threads, observer=counter)

    def broken():
        raise ValueError("no")

    results = executor.run_all(trace, {"good": lambda: 1, "bad": broken}, reasons={"bad": "why"}, timeout=1.0)
    assert results == {"good": 1, "bad": None}
    assert executor.run(trace, "bad", broken, reason="why") is None
    assert trace.degraded == ["why"]
    assert counter.marks == ["why", "why"]
    assert [name for name, _ in counter.stages] == ["good", "bad", "bad"]
    assert set(trace.seconds) == {"good", "bad"}
    executor.close()


def test_executor_leaves_the_late_and_a_strict_one_raises():
    executor, trace = Executor(strict=False, threads=2), Trace()
    hold = threading.Event()
    start = time.perf_counter()
    results = executor.run_all(trace, {"late": hold.wait, "fine": lambda: 2}, timeout=0.05)
    assert time.perf_counter() - start < 1
    assert results == {"late": None, "fine": 2}
    hold.set()
    with pytest.raises(ZeroDivisionError):
        Executor(strict=True).run(Trace(), "stage", lambda: 1 // 0)


def test_executor_leaves_alone_what_keeps_failing_and_comes_back(monkeypatch):
    monkeypatch.setattr("inference.flow.executor.REST_SECONDS", 0.1)
    counter, asked, healed = Counter(), [], threading.Event()
    executor = Executor(strict=False, threads=2, observer=counter)

    def dependency():
        asked.append(1)
        if not healed.is_set():
            raise FeatureStoreError("away")
        return 1

    def ask() -> int | None:
        trace = Trace()
        result = executor.ask(trace, "users", dependency, reason="features", timeout=1.0)
        assert trace.degraded == ([] if result else ["features"])
        return result

    assert [ask() for _ in range(50)] == [None] * 50
    assert len(asked) == FAILURES
    assert counter.marks == ["features"] * 50  # every request counts, asked or not
    time.sleep(0.12)
    assert [ask() for _ in range(5)] == [None] * 5
    assert len(asked) == FAILURES + 1  # one tried
    healed.set()
    time.sleep(0.12)
    assert [ask() for _ in range(5)] == [1] * 5
    strict = Executor(strict=True)
    for _ in range(2 * FAILURES):
        with pytest.raises(ZeroDivisionError):
            strict.ask(Trace(), "users", lambda: 1 // 0)
    executor.close()


def test_own_source_prefers_often_and_lately():
    made = world.artifacts("always")
    users = cold_users(1, made.feature_set)
    own = replace(
        users.own,
        offsets=np.array([0, 4]),
        rows=np.array([1, 2, 3, 4], np.int32),
        counts=np.array([5, 1, 1, 0], np.float32),
        negatives=np.array([0, 0, 0, 1], np.float32),
        grades=np.array([1, 1, 2, 0], np.int8),
        first=np.full(4, world.NOW - 90 * world.DAY),
        last=world.NOW - world.DAY * np.array([1.0, 30.0, 2.0, 1.0]),
    )
    users = replace(users, own=own)
    found = OwnSource(made)([world.query()], users, 10)
    assert found.rows.tolist() == [1, 3, 2]  # item 4 was only ever turned down
    assert OwnSource(made)([world.query()], users, 2).rows.tolist() == [1, 3]
    assert OwnSource(world.artifacts("until-converted"))([world.query()], users, 10).rows.tolist() == [1, 2]
    assert OwnSource(world.artifacts("never"))([world.query()], users, 10).rows.tolist() == []


@pytest.mark.parametrize(
    ("country", "age", "expected"),
    [
        ("DE", 1, {0, 1, 2, 3}),
        ("GB", 1, {0, 2, 3}),
        ("", 0, {0, 1, 2, 3}),
        ("DE", 2, {0, 1, 2}),
        ("DE", 4, {0, 1, 2, 3}),
    ],
)
def test_availability(country, age, expected):
    items = world.items(
        available=np.arange(world.NUM_ITEMS) != 4,
        regions=np.where(np.arange(world.NUM_ITEMS) == 1, "DE|AT", "").astype(object),
        min_age=np.where(np.arange(world.NUM_ITEMS) == 3, 18, 0).astype(np.float32),
        created_at=np.where(np.arange(world.NUM_ITEMS) == 5, world.NOW + 1, np.nan),
    )
    made = world.artifacts(items=items)
    users = replace(cold_users(1, made.feature_set), categorical=np.array([[0, age]], np.int32))
    users = replace(users, country=np.array([country], dtype=object))
    rows = np.arange(6, dtype=np.int32)

    candidates = with_rows(bare(np.zeros(2, np.int64), rows[:0], 4), np.zeros(6, np.int64), rows, world.NUM_ITEMS)
    mask = AvailabilityFilter(made)([world.query()], users, candidates)
    assert set(candidates.rows[mask].tolist()) == expected


@pytest.mark.parametrize(
    ("group", "age"), [("18-24", 18), ("<18", 0), ("65+", 65), ("under 18", 0), ("25", 25), ("", None), ("adult", None)]
)
def test_least_age(group, age):
    found = least_age(group)
    assert np.isnan(found) if age is None else found == age


def test_contents_are_aligned_and_always_titled():
    table = pa.table({"item_id": ["b", "a", "x"], "title": ["B", None, "X"], "brand": ["Acme", "Other", None]})
    contents = Contents.from_table(table, np.array(["a", "b", "c"], dtype=object))
    assert contents.describe(0) == {"title": "a", "brand": "Other"}
    assert contents.describe(1) == {"title": "B", "brand": "Acme"}
    assert contents.describe(2) == {"title": "c"}


def test_verbs_say_only_what_the_events_say():
    objectives = {"click": ["view"], "engage": ["long_view"], "convert": ["like", "purchase"], "other": ["forward"]}
    assert verbs(objectives) == {"click": "viewed {}", "engage": "watched {}", "convert": "liked {}"}


def test_spans_of_users_are_the_users_asked_alone():
    store = world.Store(world.feature_set())
    ids = ["u1", "nobody", "u2", "u3"]
    whole = store.users(ids, np.full(4, world.NOW))
    part = span(whole, 1, 3)
    alone = store.users(ids[1:3], np.full(2, world.NOW))
    for name in ("known", "numeric", "categorical", "country"):
        assert np.array_equal(getattr(part, name), getattr(alone, name), equal_nan=name == "numeric")
    for name in ("offsets", "rows", "grades", "times"):
        assert np.array_equal(getattr(part.history, name), getattr(alone.history, name))
    for name in ("offsets", "rows", "counts", "negatives", "grades", "first", "last"):
        assert np.array_equal(getattr(part.own, name), getattr(alone.own, name))
