"""Outcomes of a span: nothing before or beyond it counts, in logs of hours and of days, with and without sessions."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.replay.groups import Groups, count_liked, read_groups
from components.validation.spans import require_positives
from feature_repo.dataset.tables import DESCRIPTION_FILE, PreparedTables
from tests.kit.prepared_tables import START, config, event, write_prepared


def prepared(directory: Path, joined: bool = False, **tables: Any) -> PreparedTables:
    directory.mkdir(parents=True, exist_ok=True)
    write_prepared(directory, config(), **tables)
    if joined:
        path = directory / DESCRIPTION_FILE
        description = json.loads(path.read_text())
        path.write_text(json.dumps({**description, "label_sources": dict.fromkeys(("click", "convert"), "joined")}))
    return PreparedTables.open(directory)


def shown(user: str, request: str, item: str, hours: float, grade: int = 0) -> dict[str, Any]:
    labels = {"label_click": int(grade > 0), "label_convert": int(grade > 1)}
    time = START + timedelta(hours=hours)
    return {"user_id": user, "request_id": request, "item_id": item, "timestamp": time, "grade": grade, **labels}


def acted(number: int, user: str, item: str, hours: float, **changes: Any) -> dict[str, Any]:
    return event(number, user_id=user, item_id=item, timestamp=START + timedelta(hours=hours), **changes)


def liked(groups: Groups) -> list[tuple[str, str]]:
    """(user, item) of every liked outcome."""
    owners = np.repeat(np.arange(len(groups)), np.diff(groups.offsets))[groups.grades > 0]
    users = [groups.queries[owner].user_id for owner in owners]
    return sorted(zip(users, groups.item_ids[groups.grades > 0].tolist(), strict=True))


@pytest.mark.parametrize("hours", [3, 24, 48, 20 * 24 - 12], ids=["hours", "a day", "two days", "ends at noon"])
@pytest.mark.parametrize("sessions", [False, True], ids=["days", "sessions"])
def test_every_outcome_lies_in_its_span(tmp_path: Path, hours: float, sessions: bool) -> None:
    """Each pair of user and item occurs once, so an outcome names its event; no event is lost or used twice."""
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, hours, 600))
    times[[0, -1]] = 0, hours
    rows = [
        acted(place, f"u{place % 20}", f"i{place // 20}", time, session_id=f"s{place % 60}" if sessions else None)
        for place, time in enumerate(times.tolist())
    ]
    tables = prepared(tmp_path, interactions=rows)
    split = tables.split
    when = {(row["user_id"], row["item_id"]): row["timestamp"].timestamp() for row in rows}
    bounds = [split.rank_start, split.validation_start, split.test_start, split.stamp(split.log_end)]
    for start, end in pairwise(bounds):
        groups = read_groups(tables, start, end, limit=10_000, seed=0)
        assert liked(groups) == sorted(pair for pair, time in when.items() if start <= time < end)
        assert count_liked(tables, start, end) == (len(groups), len(groups))
        first = [min(when[query.user_id, item] for item in items) for query, items in _items(groups)]
        np.testing.assert_allclose([query.time for query in groups.queries], first, rtol=0, atol=1e-5)
    require_positives(tables)


def _items(groups: Groups) -> list[tuple[Any, list[str]]]:
    spans = [slice(*bounds) for bounds in pairwise(groups.offsets.tolist())]
    return [(query, groups.item_ids[span].tolist()) for query, span in zip(groups.queries, spans, strict=True)]


def test_a_joined_label_counts_at_the_time_of_its_event(tmp_path: Path) -> None:
    """Shown within the span: a is clicked in it and bought after it, b is clicked before, c returned after it."""
    rows = [
        shown("u1", "r1", "a", 10, grade=2),
        shown("u1", "r1", "b", 10, grade=1),
        shown("u1", "r1", "c", 10, grade=-1) | {"label_click": 1},
        shown("u1", "r1", "d", 10),
    ]
    events = [
        acted(0, "u1", "a", 11, request_id="r1"),
        acted(1, "u1", "a", 13, request_id="r1", event_type="purchase"),
        acted(2, "u1", "b", 8, request_id="r1"),
        acted(3, "u1", "c", 11, request_id="r1"),
        acted(4, "u1", "c", 12, request_id="r1", event_type="return"),
    ]
    start, end = (START.timestamp() + hour * 3600 for hour in (9, 12))
    span: dict[str, Any] = {"start": start, "end": end, "limit": 10, "seed": 0}
    groups = read_groups(prepared(tmp_path / "joined", joined=True, interactions=events, impressions=rows), **span)
    assert groups.item_ids.tolist() == ["a", "b", "c", "d"]
    assert groups.grades.tolist() == [1, 0, 1, 0]
    assert groups.labels.tolist() == [[1, 0], [0, 0], [1, 0], [0, 0]]
    whole = read_groups(prepared(tmp_path / "column", interactions=events, impressions=rows), **span)
    assert whole.labels.tolist() == [[1, 1], [1, 0], [1, 0], [0, 0]]
    assert whole.grades.tolist() == [2, 1, 1, 0]


def test_requests_are_those_of_a_user(tmp_path: Path) -> None:
    """Two users have a request 0. One saw two items and has a slate; the other saw a single item in a session."""
    rows = [
        shown("u1", "0", "a", 1, grade=1),
        shown("u1", "0", "b", 1),
        shown("u2", "0", "c", 2) | {"session_id": "s1"},
    ]
    events = [
        acted(0, "u1", "a", 1.5, request_id="0"),
        acted(1, "u2", "c", 2.5, request_id="0", session_id="s1"),
        acted(2, "u3", "a", 3, request_id="0", session_id="s1"),
    ]
    tables = prepared(tmp_path, interactions=events, impressions=rows)
    assert tables.has_slates
    tables.description["has_own_slates"] = False  # as in a dataset without slates whose servers log slates
    groups = read_groups(tables, 0.0, 4e9, limit=10, seed=0)
    assert [(query.user_id, query.request_id) for query in groups.queries] == [("u1", "0"), ("u2", "s1"), ("u3", "s1")]
    assert groups.item_ids.tolist() == ["a", "b", "c", "a"]
    assert groups.grades.tolist() == [1, 0, 1, 1]
