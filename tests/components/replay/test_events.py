"""Events: whose they are and of which visit, where they come from; and that nothing is chosen on the test span."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from components.index.covisitation import CovisitationConfig, fit_neighbours
from components.index.own import choose_own_half_life
from components.index.popular import choose_half_life, fit_popularity
from components.replay.events import Events
from feature_repo.dataset.tables import PreparedTables, item_universe
from tests.kit.prepared_tables import START, config, event, write_prepared

DAY = 86_400.0
NUM_ITEMS = 12


def read(directory: Path, rows: list[dict[str, Any]], users: list[dict[str, Any]] | None = None) -> Events:
    tables = PreparedTables.open(write_prepared(directory, config(), interactions=rows, users=users or []))
    return Events.read(tables, item_universe(tables))


def test_sessions_are_of_one_user_and_days_end_at_midnight(tmp_path: Path) -> None:
    at = [
        ("u1", "s1", 1),
        ("u2", "s1", 2),
        ("u1", "s1", 50),
        ("u1", None, 60),
        ("u1", None, 71.9),
        ("u1", None, 72.1),
        ("u2", None, 72.2),
    ]
    rows = [
        event(number, user_id=user, session_id=session, timestamp=START + timedelta(hours=hours))
        for number, (user, session, hours) in enumerate(at)
    ]
    events = read(tmp_path, rows)
    assert events.users.tolist() == [0, 1, 0, 0, 0, 0, 1]
    same = events.sessions[:, None] == events.sessions[None, :]
    pairs = {(int(a), int(b)) for a, b in zip(*np.nonzero(same), strict=True) if a < b}
    assert pairs == {(0, 2), (3, 4)}


def test_a_country_is_the_events_else_the_users_at_the_time(tmp_path: Path) -> None:
    users: list[dict[str, Any]] = [
        {"user_id": "u1", "country": "SE"},
        {"user_id": "u1", "country": "NO", "valid_from": START},
        {"user_id": "u1", "country": "FI", "valid_from": START + timedelta(days=300)},
        {"user_id": "u2", "country": None},
    ]
    known = [("u1", "IN"), ("u1", None), ("u2", None), ("u3", "DK"), ("u3", None)]
    rows = [event(number, user_id=user, country=country) for number, (user, country) in enumerate(known)]
    assert read(tmp_path, rows, users).countries.tolist() == ["IN", "NO", "", "DK", ""]


def test_only_what_was_liked_counts_in_order_of_time_and_file(tmp_path: Path) -> None:
    kinds = [("purchase", 5), ("search", 1), ("return", 2), ("click", 3), ("click", 3)]
    rows = [
        event(number, event_type=kind, item_id=f"i{number}", timestamp=START + timedelta(hours=hours))
        for number, (kind, hours) in enumerate(kinds)
    ]
    events = read(tmp_path, rows)
    assert events.rows.tolist() == [3, 4, 0]
    assert events.grades.tolist() == [1, 1, 2]
    assert events.times.tolist() == [(START + timedelta(hours=hours)).timestamp() for hours in (3, 3, 5)]


def test_events_on_items_outside_of_the_row_map_are_left_out(tmp_path: Path) -> None:
    rows = [event(number, item_id=item) for number, item in enumerate(["i1", "i2", "i9", "i3", "i1"])]
    tables = PreparedTables.open(write_prepared(tmp_path, config(), interactions=rows, users=[]))
    assert Events.read(tables, np.array(["i1", "i3"], dtype=object)).rows.tolist() == [0, 1, 0]


def random_events(seed: int, size: int = 150) -> Events:
    rng = np.random.default_rng(seed)
    users = rng.integers(0, 8, size).astype(np.int32)
    return Events(
        users=users,
        sessions=users.astype(np.int64),
        rows=rng.integers(0, NUM_ITEMS, size).astype(np.int32),
        times=np.sort(rng.uniform(0, 40 * DAY, size)),
        grades=np.ones(size, dtype=np.int8),
        countries=np.full(size, "", dtype=object),
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_nothing_is_chosen_or_counted_on_what_comes_later(seed: int) -> None:
    """Whatever happens from the test start on, half-lives, popular lists and neighbours are the same."""
    validation, test = 25 * DAY, 32 * DAY
    events = random_events(seed)
    later = events.times >= test
    rng = np.random.default_rng(seed + 1)
    other = np.where(later, rng.integers(0, NUM_ITEMS, len(events)), events.rows).astype(np.int32)
    found = []
    for one in (events, replace(events, rows=other)):
        half_life = choose_half_life(one, NUM_ITEMS, validation, test)
        popularity = fit_popularity(one, NUM_ITEMS, validation, half_life)
        own = choose_own_half_life(one, NUM_ITEMS, validation, test, popularity.score)
        listed = fit_popularity(one, NUM_ITEMS, test, half_life).score.tolist()
        neighbours = fit_neighbours(one, NUM_ITEMS, test, CovisitationConfig())
        found.append((half_life, own, listed, neighbours.rows.tolist(), neighbours.weights.tolist()))
    assert found[0] == found[1]


def test_a_log_without_earlier_events_has_no_neighbours_and_default_half_lives() -> None:
    events = random_events(0)
    nothing = fit_neighbours(events, NUM_ITEMS, 0.0, CovisitationConfig())
    assert len(nothing) == NUM_ITEMS
    assert nothing.offsets.tolist() == [0] * (NUM_ITEMS + 1)
    assert choose_half_life(events, NUM_ITEMS, 0.0, 0.0) > 0
    assert choose_own_half_life(events, NUM_ITEMS, 0.0, 0.0, np.zeros(NUM_ITEMS, dtype=np.float32)) > 0


def test_neighbours_of_a_log_small_enough_to_count_by_hand() -> None:
    """u0 takes a and b at once, u1 takes b and c; nothing has faded."""
    at = 100 * DAY
    events = Events(
        users=np.array([0, 0, 1, 1], dtype=np.int32),
        sessions=np.array([0, 0, 1, 1], dtype=np.int64),
        rows=np.array([0, 1, 1, 2], dtype=np.int32),
        times=np.full(4, at - 1e-6),
        grades=np.ones(4, dtype=np.int8),
        countries=np.full(4, "", dtype=object),
    )
    found = fit_neighbours(events, 4, at, CovisitationConfig(shrinkage=1.0))
    # A pair of a list of two weighs 1 / log2(3); b is in two lists.
    pair = 1 / np.log2(3)
    weight = pair / np.sqrt((pair + 1) * (2 * pair + 1))
    assert [found.of(row)[0].tolist() for row in range(4)] == [[1], [0, 2], [1], []]
    np.testing.assert_allclose(found.weights, weight, rtol=1e-5)
