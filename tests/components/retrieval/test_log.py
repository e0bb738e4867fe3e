"""Positive events, cells, histories and examples against plain loops over the rows."""

from __future__ import annotations

import numpy as np
import pytest

from components.retrieval.examples import Examples
from components.retrieval.log import Cells, PositiveLog, codes_of, ragged
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


@pytest.mark.parametrize("repeats", ["never", "until-converted", "always"])
def test_examples_are_what_could_have_been_shown(tables: PreparedTables, events: list[Event], repeats: str) -> None:
    until = tables.split.test_start
    log, ids = read(tables, np.inf), item_universe(tables)
    examples = Examples.of(log, repeats, until)
    cells = Cells.of(tables.split).at(np.array([event[2] for event in events])).tolist()
    expected = set()
    for (user, item, moment, _), cell in zip(events, cells, strict=True):
        earlier = [e[3] for e, c in zip(events, cells, strict=True) if e[:2] == (user, item) and c < cell]
        out = {"never": bool(earlier), "until-converted": 2 in earlier, "always": False}[repeats]
        if moment < until and not out:
            expected.add((user, cell, item))
    owner = np.repeat(np.arange(examples.num_groups), np.diff(examples.offsets))
    found = list(
        zip(log.user_ids[examples.users[owner]], examples.cells[owner].tolist(), ids[examples.rows], strict=True)
    )
    assert len(found) == len(set(found)) == len(examples)
    assert set(found) == expected
    assert (np.diff(examples.cells) >= 0).all()
    np.testing.assert_array_equal(examples.ends, log.known_at(examples.users, examples.cells))
    for group in range(examples.num_groups):
        own = slice(examples.ends[group], examples.stops[group])
        assert set(log.cells[own]) == {examples.cells[group]}
        mine = examples.rows[examples.offsets[group] : examples.offsets[group + 1]]
        assert set(mine) <= set(log.rows[own])
        assert (log.times[: examples.ends[group]][log.users[: examples.ends[group]] == examples.users[group]]
                < examples.times[group]).all()  # fmt: skip


def test_the_latest_examples_are_kept(tables: PreparedTables) -> None:
    examples = Examples.of(read(tables, np.inf), "always", tables.split.test_start)
    fewer = examples.latest(100)
    assert 50 < len(fewer) <= 100
    np.testing.assert_array_equal(fewer.rows, examples.rows[-len(fewer) :])
    np.testing.assert_array_equal(np.diff(fewer.offsets), np.diff(examples.offsets)[-fewer.num_groups :])
    assert len(examples.latest(10**9)) == len(examples)


def test_chunks_are_whole_cells_and_cover_everything(tables: PreparedTables) -> None:
    examples = Examples.of(read(tables, np.inf), "always", tables.split.test_start)
    chunks = list(examples.chunks(60))
    assert [chunk.stop for chunk in chunks[:-1]] == [chunk.start for chunk in chunks[1:]]
    assert (chunks[0].start, chunks[-1].stop) == (0, examples.num_groups)
    for chunk in chunks[:-1]:
        assert examples.offsets[chunk.stop] - examples.offsets[chunk.start] >= 60
        assert examples.cells[chunk.stop - 1] < examples.cells[chunk.stop]
    assert list(examples.latest(0).chunks(60)) == []


def test_ragged_positions() -> None:
    positions, owner = ragged(np.array([5, 0, 9]), np.array([2, 0, 3]))
    assert positions.tolist() == [5, 6, 9, 10, 11]
    assert owner.tolist() == [0, 0, 2, 2, 2]


def test_codes_are_counted_from_one() -> None:
    import pyarrow as pa

    assert codes_of(pa.chunked_array([["b", None], ["z", "a"]]), ["a", "b"]).tolist() == [2, 0, 0, 1]
    assert codes_of(pa.array(["a"]), []).tolist() == [0]
