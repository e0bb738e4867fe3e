"""The question of the horizon: grades agree with a plain reading of the log, and nothing after the span counts."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.replay.groups import Groups, read_groups
from components.replay.horizon import Horizon
from feature_repo.dataset.tables import PreparedTables
from tests.kit import random_log
from tests.kit.prepared_tables import START, config, event, write_prepared

DAY = 86_400.0
FIRST = START.timestamp()


def acted(number: int, item: str, hours: float, **changes: Any) -> dict[str, Any]:
    return event(number, user_id="u1", item_id=item, timestamp=START + timedelta(hours=hours), **changes)


def shown(request: str, item: str, hours: float, grade: int = 0) -> dict[str, Any]:
    labels = {"label_click": int(grade > 0), "label_convert": int(grade > 1)}
    time = START + timedelta(hours=hours)
    return {"user_id": "u1", "request_id": request, "item_id": item, "timestamp": time, "grade": grade, **labels}


def prepared(directory: Path, **tables: Any) -> PreparedTables:
    return PreparedTables.open(write_prepared(directory, config(), **tables))


def graded(groups: Groups) -> list[dict[str, int]]:
    """Item -> grade of each group."""
    spans = [slice(*bounds) for bounds in zip(groups.offsets[:-1], groups.offsets[1:], strict=True)]
    return [dict(zip(groups.item_ids[span], groups.grades[span].tolist(), strict=True)) for span in spans]


def test_later_likes_count_until_the_horizon_or_the_span_ends(tmp_path: Path) -> None:
    rows = [
        acted(number, item, hours) for number, (item, hours) in enumerate({"a": 1, "b": 30, "c": 60, "d": 80}.items())
    ]
    tables = prepared(tmp_path, interactions=rows)
    horizon = Horizon(seconds=50 * 3600, apart=DAY)
    groups = read_groups(tables, FIRST, FIRST + 80 * 3600, limit=10, seed=0, horizon=horizon)
    assert graded(groups) == [{"a": 1, "b": 1}, {"b": 1, "c": 1}, {"c": 1}]
    whole = read_groups(tables, FIRST, FIRST + 81 * 3600, limit=10, seed=0, horizon=horizon)
    assert graded(whole)[1:] == [{"b": 1, "c": 1}, {"c": 1, "d": 1}, {"d": 1}]


def test_an_item_that_is_shown_and_liked_later_has_the_grade_but_no_label(tmp_path: Path) -> None:
    rows = [shown("r1", "a", 1), shown("r1", "b", 1, grade=1), shown("r2", "a", 2, grade=2), shown("r2", "c", 2)]
    tables = prepared(tmp_path, interactions=[acted(0, "d", 5)], impressions=rows)
    groups = read_groups(tables, FIRST, FIRST + DAY, limit=10, seed=0, horizon=Horizon(seconds=DAY, apart=DAY))
    assert graded(groups) == [{"a": 2, "b": 1, "d": 1}, {"a": 0, "c": 0}]
    assert groups.labels.tolist() == [[0, 0], [1, 0], [0, 0], [1, 1], [0, 0]]
    assert groups.shown.tolist() == [True, True, False, True, True]
    assert groups.positions[2] == -1


def test_a_user_asks_once_in_an_interval(tmp_path: Path) -> None:
    """Sessions that do not ask are left out; the next interval asks again."""
    hours = {"s1": 1, "s2": 2, "s3": 23, "s4": 25, "s5": 49}
    rows = [acted(number, name, hour, session_id=name) for number, (name, hour) in enumerate(hours.items())]
    tables = prepared(tmp_path, interactions=rows)

    def asked(apart: float) -> list[str | None]:
        horizon = Horizon(seconds=DAY, apart=apart)
        groups = read_groups(tables, FIRST, FIRST + 3 * DAY, limit=10, seed=0, horizon=horizon)
        return [query.request_id for query in groups.queries]

    assert asked(DAY) == ["s1", "s4", "s5"]
    assert asked(2 * DAY) == ["s1", "s5"]
    assert asked(60.0) == list(hours)


@pytest.mark.parametrize("seed", range(4))
def test_grades_agree_with_a_plain_reading(tmp_path: Path, seed: int) -> None:
    rows = random_log.rows(seed, 300)
    if seed % 2:
        rows["impressions"] = []
    tables = PreparedTables.open(random_log.write(tmp_path / "tables", rows))
    start, end = tables.split.rank_start, tables.split.test_start
    horizon = replace(Horizon.of(tables.split), apart=2 * DAY)
    own = read_groups(tables, start, end, limit=10_000, seed=0)
    groups = read_groups(tables, start, end, limit=10_000, seed=0, horizon=horizon)
    found = {
        (query.user_id, query.request_id): items for query, items in zip(groups.queries, graded(groups), strict=True)
    }
    likes = [
        (
            row["user_id"],
            row["item_id"],
            row["timestamp"].timestamp(),
            tables.config.event_grades.get(row["event_type"], 0),
        )
        for row in rows["interactions"]
    ]
    likes += [(r["user_id"], r["item_id"], r["timestamp"].timestamp(), r.get("grade", 0)) for r in rows["impressions"]]
    seen: set[tuple[str, int]] = set()
    for query, mine in zip(own.queries, graded(own), strict=True):
        interval = query.user_id, math.floor((query.time - start) / horizon.apart)
        expected = dict.fromkeys(mine, 0)
        if interval not in seen:
            seen.add(interval)
            expected = dict(mine)
            until = min(query.time + horizon.seconds, end)
            for user, item, time, grade in likes:
                if user == query.user_id and grade > 0 and query.time <= time < until:
                    expected[item] = max(grade, expected.get(item, 0))
        elif not own.shown.any():
            continue
        assert found.pop((query.user_id, query.request_id)) == expected
    assert not found
    assert np.add.reduceat(groups.grades > 0, groups.offsets[:-1]).any()
