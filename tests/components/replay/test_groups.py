"""Groups: what one request, session or day of a user showed and led to, against a plain reading of the log."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.replay.groups import Groups, read_groups
from feature_repo.dataset.tables import PreparedTables
from tests.kit import random_log
from tests.kit.prepared_tables import START, config, event, write_prepared

DAY = 86_400.0
EVERYTHING: dict[str, Any] = {"start": -math.inf, "end": math.inf, "limit": 10_000, "seed": 0}


def prepared(directory: Path, **tables: Any) -> PreparedTables:
    directory.mkdir(parents=True, exist_ok=True)
    return PreparedTables.open(write_prepared(directory, config(), **tables))


def shown(request: str, item: str, position: int | None, hours: float = 0, **changes: Any) -> dict[str, Any]:
    return {
        "request_id": request,
        "user_id": "u1",
        "item_id": item,
        "timestamp": START + timedelta(hours=hours),
        "position": position,
        "label_click": 0,
        "label_convert": 0,
        "surface": "email",
        "device": "phone",
        **changes,
    }


def content(groups: Groups) -> dict[tuple[str, str], dict[str, int]]:
    """(user, key) -> item -> grade."""
    found = {}
    for place, query in enumerate(groups.queries):
        span = slice(groups.offsets[place], groups.offsets[place + 1])
        items = groups.item_ids[span]
        assert len(set(items)) == len(items)
        found[query.user_id, query.request_id] = dict(zip(items, groups.grades[span].tolist(), strict=True))
    return found


def test_a_request_is_a_group_where_the_log_has_slates(tmp_path: Path) -> None:
    rows = [
        shown("r1", "a", 0),
        shown("r1", "b", 1, label_click=1, grade=1, propensity=0.25),
        shown("r1", "c", None, hours=0.1, label_click=1, label_convert=1, grade=2),
        shown("r2", "a", 0, hours=1, grade=-1),
    ]
    tables = prepared(tmp_path, interactions=[event(0, user_id="u1")], impressions=rows)
    assert tables.has_slates
    groups = read_groups(tables, **EVERYTHING)
    assert content(groups) == {("u1", "r1"): {"a": 0, "b": 1, "c": 2}, ("u1", "r2"): {"a": 0}}
    assert groups.labels.tolist() == [[0, 0], [1, 0], [1, 1], [0, 0]]
    assert groups.positions.tolist() == [0, 1, -1, 0]
    assert np.isnan(groups.propensities).tolist() == [True, False, True, True]
    assert groups.take(np.array([0])).propensities[1] == 0.25
    assert groups.shown.all()
    query = groups.queries[0]
    assert (query.surface, query.device, query.country) == ("email", "phone", None)
    assert query.time == START.timestamp()


def test_a_session_is_a_group_where_the_log_has_none(tmp_path: Path) -> None:
    rows = [
        event(0, user_id="u1", item_id="a", session_id="s1", timestamp=START),
        event(
            1, user_id="u1", item_id="a", session_id="s1", timestamp=START + timedelta(hours=1), event_type="purchase"
        ),
        event(2, user_id="u1", item_id="b", session_id="s1", timestamp=START + timedelta(hours=2)),
        event(3, user_id="u2", item_id="b", session_id="s1", timestamp=START + timedelta(hours=3)),
        event(4, user_id="u2", item_id="c", session_id="s1", timestamp=START + timedelta(hours=4), event_type="return"),
    ]
    groups = read_groups(prepared(tmp_path, interactions=rows), **EVERYTHING)
    assert content(groups) == {("u1", "s1"): {"a": 2, "b": 1}, ("u2", "s1"): {"b": 1}}
    assert groups.labels.tolist() == [[1, 1], [1, 0], [1, 0]]
    assert not groups.shown.any()
    assert (groups.positions == -1).all()


def test_a_day_is_a_group_where_there_are_no_sessions(tmp_path: Path) -> None:
    hours = {"a": 1, "b": 11, "c": 13, "d": 23.9, "e": 24.1}
    rows = [
        event(number, user_id="u1", item_id=item, timestamp=START + timedelta(hours=hour))
        for number, (item, hour) in enumerate(hours.items())
    ]
    groups = read_groups(prepared(tmp_path, interactions=rows), **EVERYTHING)
    assert [sorted(items) for items in content(groups).values()] == [["a", "b", "c", "d"], ["e"]]


def test_a_single_shown_item_is_no_slate_but_counts_as_shown(tmp_path: Path) -> None:
    rows = [shown("r1", "a", 3, session_id="s1"), shown("r2", "b", None, hours=1, session_id="s1")]
    events = [event(0, user_id="u1", item_id="b", session_id="s1", timestamp=START + timedelta(hours=2))]
    tables = prepared(tmp_path, interactions=events, impressions=rows)
    assert not tables.has_slates
    groups = read_groups(tables, **EVERYTHING)
    assert content(groups) == {("u1", "s1"): {"a": 0, "b": 1}}
    assert groups.shown.tolist() == [True, True]
    assert groups.positions.tolist() == [3, -1]


@pytest.mark.parametrize("seed", range(4))
def test_groups_agree_with_a_plain_reading(tmp_path: Path, seed: int) -> None:
    rows = random_log.rows(seed, 300)
    if seed % 2:
        rows["impressions"] = []
    tables = PreparedTables.open(random_log.write(tmp_path / "tables", rows))
    start, end = tables.split.rank_start, tables.split.test_start
    groups = read_groups(tables, start, end, limit=10_000, seed=0)
    expected = plain(rows, tables, start, end)
    assert content(groups) == {key: items for key, (_, items) in expected.items()}
    times = [query.time for query in groups.queries]
    assert times == sorted(times)
    assert all(start <= time < end for time in times)
    # A query is asked before anything of its group is known.
    first = [expected[query.user_id, query.request_id][0] for query in groups.queries]
    np.testing.assert_allclose(times, first, rtol=0, atol=1e-5)


def plain(
    rows: dict[str, list[dict[str, Any]]], tables: PreparedTables, start: float, end: float
) -> dict[tuple[str, str], tuple[float, dict[str, int]]]:
    """(user, key) -> first moment, item -> grade, of the rows in the span: of requests, else of sessions and days."""

    def key(row: dict[str, Any]) -> str:
        return row.get("session_id") or f"day {int(row['timestamp'].timestamp() // DAY)}"

    outcomes: Iterable[tuple[str, str, dict[str, Any], int]]
    if tables.has_slates:
        assert rows["impressions"]
        outcomes = [(row["user_id"], row["request_id"], row, row.get("grade", 0)) for row in rows["impressions"]]
    else:
        grades = tables.config.event_grades
        graded = [(row, grades.get(row["event_type"], 0)) for row in rows["interactions"]]
        outcomes = [(row["user_id"], key(row), row, grade) for row, grade in graded if grade > 0]
    found: dict[tuple[str, str], tuple[float, dict[str, int]]] = {}
    for user, name, row, grade in outcomes:
        if not start <= row["timestamp"].timestamp() < end:
            continue
        first, items = found.setdefault((user, name), (math.inf, {}))
        items[row["item_id"]] = max(items.get(row["item_id"], 0), grade)
        found[user, name] = min(first, row["timestamp"].timestamp()), items
    return found


def test_a_sample_is_drawn_by_the_seed_and_spread_over_the_span(tmp_path: Path) -> None:
    rows = [event(number, user_id=f"u{number}", timestamp=START + timedelta(minutes=number)) for number in range(2_000)]
    tables = prepared(tmp_path, interactions=rows)

    def drawn(seed: int) -> list[float]:
        groups = read_groups(tables, -math.inf, math.inf, limit=300, seed=seed)
        return [query.time for query in groups.queries]

    assert drawn(1) == drawn(1) != drawn(2)
    assert len(drawn(1)) == 300
    shares = np.histogram(drawn(1), bins=4, range=(START.timestamp(), START.timestamp() + 2_000 * 60))[0] / 300
    assert (abs(shares - 0.25) < 0.1).all()


@pytest.mark.parametrize("liked", [0.5, 0.02], ids=["half", "few"])
def test_silent_groups_come_along_at_the_rate_of_the_others(tmp_path: Path, liked: float) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(2_000):
        label = int(rng.random() < liked)
        rows += [shown(f"r{number}", "a", 0, label_click=label, grade=label), shown(f"r{number}", "b", 1)]
    tables = prepared(tmp_path, interactions=[event(0, user_id="u1")], impressions=rows)
    groups = read_groups(tables, -math.inf, math.inf, limit=200, seed=0, count_silent=False)
    found = np.maximum.reduceat(groups.grades, groups.offsets[:-1]) > 0
    if liked == 0.5:
        assert found.sum() == 200
        assert 330 < len(groups) < 470
    else:
        assert len(groups) == 4 * 200
        assert 4 <= found.sum() <= 36


def test_no_group_at_all(tmp_path: Path) -> None:
    tables = prepared(tmp_path, interactions=[event(number) for number in range(5)])
    assert len(read_groups(tables, 0.0, 1.0, limit=10, seed=0)) == 0
