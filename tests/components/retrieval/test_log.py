"""Positive events, cells, histories and examples against plain loops over the rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from components.retrieval.log import Cells, PositiveLog, codes_of, ragged
from components.retrieval.sequences import Examples, windows_of
from feature_repo.dataset.tables import PreparedTables, item_universe, unix_seconds
from feature_repo.features.choice import choose_features
from feature_repo.features.state import HISTORY_LENGTH
from tests.kit import shop
from tests.kit.prepared_tables import write_prepared

SOURCES = ("near", "popular")

Event = tuple[str, str, float, int]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> PreparedTables:
    directory = tmp_path_factory.mktemp("log")
    rows = shop.rows(num_users=8, num_items=24, num_events=900, seed=3)
    return PreparedTables.open(write_prepared(directory, shop.settings(), **rows))


@pytest.fixture(scope="module")
def events(tables: PreparedTables) -> list[Event]:
    table = tables.interactions
    columns = (table["user_id"].to_pylist(), table["item_id"].to_pylist())
    found = zip(*columns, unix_seconds(table["timestamp"]).tolist(), table["grade"].to_pylist(), strict=True)
    return [event for event in found if event[3] > 0]


def read(tables: PreparedTables, until: float) -> PositiveLog:
    return PositiveLog.read(tables, choose_features(tables, SOURCES), item_universe(tables), until)


def test_a_cell_begins_at_a_cut_and_knows_what_came_before(tables: PreparedTables) -> None:
    grid = Cells.of(tables.split)
    cuts = tables.split.cuts()
    np.testing.assert_allclose([grid.begin(grid.cell_from(cut)) for cut in cuts], cuts, atol=1e-6)
    np.testing.assert_array_equal(grid.at(cuts[:-1]), [grid.cell_from(cut) for cut in cuts[:-1]])
    np.testing.assert_array_equal(grid.at(cuts - 0.001), [grid.cell_from(cut) - 1 for cut in cuts])
    assert grid.at(np.array([tables.split.log_end]))[0] == grid.count - 1
    assert grid.cell_from(tables.split.stamp(tables.split.log_end)) == grid.count


def test_histories_are_the_last_events_before_the_cell(tables: PreparedTables, events: list[Event]) -> None:
    log, ids = read(tables, np.inf), item_universe(tables)
    rng = np.random.default_rng(0)
    users = rng.integers(len(log.user_ids), size=60).astype(np.int32)
    cells = rng.integers(log.grid.count + 1, size=60)
    history = log.histories(users, log.known_at(users, cells))
    for query, (user, cell) in enumerate(zip(users, cells, strict=True)):
        cut = log.grid.begin(int(cell)) if cell < log.grid.count else np.inf
        mine = [event for event in events if event[0] == log.user_ids[user] and event[2] < cut - 1e-6]
        span = slice(history.offsets[query], history.offsets[query + 1])
        found = list(zip(ids[history.rows[span]], history.times[span], history.grades[span], strict=True))
        assert found == [event[1:] for event in mine[-HISTORY_LENGTH:]]


def test_nothing_at_or_after_until_is_read(tables: PreparedTables, events: list[Event]) -> None:
    until = tables.split.test_start
    log = read(tables, until)
    assert len(log) == sum(event[2] < until for event in events)
    assert len(read(tables, tables.split.stamp(tables.split.log_end))) == len(events)


def examples_of(log: PositiveLog, repeats: str, until: float, limit: int = 10**9) -> Examples:
    return Examples.of(log, repeats, until, damping=0.5, limit=limit)


@pytest.mark.parametrize("repeats", ["never", "until-converted", "always"])
def test_examples_are_what_could_have_been_shown(tables: PreparedTables, events: list[Event], repeats: str) -> None:
    until = tables.split.test_start
    log, ids = read(tables, np.inf), item_universe(tables)
    examples = examples_of(log, repeats, until)
    cells = Cells.of(tables.split).at(np.array([event[2] for event in events])).tolist()
    expected = set()
    for (user, item, moment, _), cell in zip(events, cells, strict=True):
        earlier = [e[3] for e, c in zip(events, cells, strict=True) if e[:2] == (user, item) and c < cell]
        out = {"never": bool(earlier), "until-converted": 2 in earlier, "always": False}[repeats]
        if moment < until and not out:
            expected.add((user, cell, item))
    at = examples.positions
    found = list(zip(log.user_ids[log.users[at]], log.cells[at].tolist(), ids[log.rows[at]], strict=True))
    assert len(found) == len(set(found)) == len(examples)
    assert set(found) == expected
    assert (np.diff(at) > 0).all()
    assert set(np.flatnonzero(examples.weights)) == set(at)
    groups = [(user, cell) for user, cell, _ in found]
    np.testing.assert_allclose(examples.weights[at], [groups.count(group) ** -0.5 for group in groups], rtol=1e-6)


def test_the_latest_examples_are_kept(tables: PreparedTables) -> None:
    log = read(tables, np.inf)
    every, fewer = (examples_of(log, "always", tables.split.test_start, limit) for limit in (10**9, 100))
    assert len(fewer) == 100
    dropped = np.setdiff1d(every.positions, fewer.positions)
    assert log.times[dropped].max() <= log.times[fewer.positions].min()


def test_chunks_follow_in_time_and_cover_everything(tables: PreparedTables) -> None:
    log = read(tables, np.inf)
    examples = examples_of(log, "always", tables.split.test_start)
    chunks = list(examples.chunks(log, 60))
    assert len(chunks) > 2
    np.testing.assert_array_equal(np.sort(np.concatenate(chunks)), examples.positions)
    for chunk, following in itertools.pairwise(chunks):
        assert len(chunk) >= 60
        assert log.times[chunk].max() < log.times[following].min()
    assert list(examples_of(log, "always", tables.split.test_start, 0).chunks(log, 60)) == []


@pytest.mark.parametrize("length", [4, 10, 1000])
def test_windows_hold_every_example_with_its_history(tables: PreparedTables, length: int) -> None:
    log = read(tables, np.inf)
    chunk = list(examples_of(log, "always", tables.split.test_start).chunks(log, 60))[1]
    windows = windows_of(log, chunk, length)
    held = [position for first, stop in zip(windows.firsts, windows.stops, strict=True) for position in chunk
            if first <= position < stop]  # fmt: skip
    assert sorted(held) == chunk.tolist()
    users = log.users[windows.firsts]
    np.testing.assert_array_equal(log.users[windows.starts], users)
    np.testing.assert_array_equal(log.users[windows.stops - 1], users)
    assert (windows.stops - windows.firsts <= length).all()
    assert (windows.stops - windows.starts <= length + length // 2).all()
    before = windows.firsts - log.offsets[users]
    assert (windows.firsts - windows.starts >= np.minimum(before, length // 2)).all()


def test_questions_know_the_events_before_them(tables: PreparedTables) -> None:
    log = read(tables, np.inf)
    users = np.arange(len(log.user_ids), dtype=np.int32)
    for moment in np.quantile(log.times, [0.0, 0.3, 0.8, 1.0]):
        expected = [log.offsets[user] + (log.times[log.users == user] < moment).sum() for user in users]
        np.testing.assert_array_equal(log.position_at(users, np.full(len(users), moment)), expected)


def test_ragged_positions() -> None:
    positions, owner = ragged(np.array([5, 0, 9]), np.array([2, 0, 3]))
    assert positions.tolist() == [5, 6, 9, 10, 11]
    assert owner.tolist() == [0, 0, 2, 2, 2]


def test_codes_are_counted_from_one() -> None:
    import pyarrow as pa

    assert codes_of(pa.chunked_array([["b", None], ["z", "a"]]), ["a", "b"]).tolist() == [2, 0, 0, 1]
    assert codes_of(pa.array(["a"]), []).tolist() == [0]
