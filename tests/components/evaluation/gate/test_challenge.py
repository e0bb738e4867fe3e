"""What users took from slates of a release is set apart from what they did of themselves."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components.evaluation.gate.challenge import taken_from_slates
from components.evaluation.protocols.log import microseconds
from components.evaluation.protocols.setting import Setting
from feature_repo.dataset.tables import PreparedTables, item_universe
from tests.components.evaluation.logs import ragged
from tests.kit.prepared_tables import START, config, event, make_served, write_prepared

OWN = [event(number) for number in range(40)]
SERVED = START + timedelta(days=20)
LATER = SERVED + timedelta(minutes=5)


def shown(request: str, items: list[str]) -> list[dict[str, Any]]:
    return [{"request_id": request, "user_id": "u1", "item_id": item, "timestamp": SERVED} for item in items]


@pytest.fixture
def tables(tmp_path: Path) -> PreparedTables:
    """A dataset with a slate of another shop's making, and a served log."""
    answered = {**OWN[-1], "request_id": "of another"}
    served = [
        event(100, user_id="u1", item_id="i2", timestamp=LATER, request_id="s1"),
        event(101, user_id="u1", item_id="i3", timestamp=LATER),  # of itself
        event(102, user_id="u2", item_id="i4", timestamp=LATER, request_id="lost"),  # its slate is not in the log
    ]
    exported = event(103, user_id="u1", item_id="i1", timestamp=LATER, request_id="s1")  # told by the dataset too
    namesake = event(104, user_id="u3", item_id="i5", timestamp=LATER, request_id="s1")  # a request of another user
    own = [*OWN[:-1], answered, exported, namesake]
    write_prepared(
        tmp_path,
        config(),
        interactions=[*own, *served],
        impressions=[*shown("of another", ["i3"]), *shown("s1", ["i1", "i2"])],
        items=[{"item_id": f"i{number}"} for number in range(11)],
    )
    make_served(tmp_path, interactions=len(own), impressions=1)
    return PreparedTables.open(tmp_path)


def taken(tables: PreparedTables, start: float) -> set[tuple[str, str]]:
    log = Setting.open(tables).log
    found = taken_from_slates(tables, log, microseconds(start))
    items = item_universe(tables)
    return {(log.user_ids[user], items[row]) for user, row in zip(found.owners, found.rows, strict=True)}


def test_answers_to_slates_are_told_from_what_users_do_of_themselves(tables: PreparedTables) -> None:
    caused = {("u1", "i2"), ("u2", "i4"), ("u1", "i1")}
    assert taken(tables, START.timestamp()) == caused
    assert taken(tables, SERVED.timestamp()) == caused
    assert taken(tables, LATER.timestamp() + 1) == set()


def test_sets_of_pairs() -> None:
    one, other = ragged([[1, 2], [], [4]]), ragged([[2, 9], [3], []])
    assert one.union(other).rows.tolist() == [1, 2, 9, 3, 4]
    assert one.union(other).counts.tolist() == [3, 1, 1]
    assert one.without(other).rows.tolist() == [1, 4]
    assert one.without(other).counts.tolist() == [1, 0, 1]
    assert one.without(ragged([[], [], []])).rows.tolist() == [1, 2, 4]
