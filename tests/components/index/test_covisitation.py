"""Neighbours, events and popular lists against plain counting, and a whole cutoff."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.index import covisitation as module
from components.index.build import build_cutoff
from components.index.covisitation import CovisitationConfig, fit_neighbours
from components.index.popular import HALF_LIVES, choose_half_life, fit_popularity
from components.index.settings import TableSettings
from components.index.user_vectors import user_vectors
from components.replay.cutoff import INDEX, TOWERS, Cutoff
from components.replay.events import Events
from components.retrieval.config import TrainingConfig
from components.retrieval.towers import fit_towers
from feature_repo.dataset.tables import PreparedTables, item_universe, unix_seconds
from feature_repo.storage.files import read_json
from inference.bundles.parts import load_parts
from inference.models.encoder import UserEncoder
from inference.models.index import IndexConfig, ItemIndex
from inference.models.neighbours import ContentNeighbours, Followers, Neighbours, Predictors
from inference.models.popularity import Popularity
from inference.models.towers import Towers
from tests.kit import shop

DAY = 86_400.0


def random_events(num_items: int = 40, seed: int = 0) -> Events:
    rng = np.random.default_rng(seed)
    n = 600
    times = np.sort(rng.uniform(0, 50 * DAY, n))
    users = rng.integers(0, 15, n).astype(np.int32)
    return Events(
        users=users,
        sessions=users.astype(np.int64) * 100 + (times // DAY).astype(np.int64),
        rows=rng.integers(0, num_items, n).astype(np.int32),
        times=times,
        grades=np.ones(n, dtype=np.int8),
        countries=np.array(["SE", ""], dtype=object)[users % 2],
    )


@pytest.mark.parametrize("block", [7, 1_000])
def test_weights_are_blended_shrunk_cosines(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    events, as_of = random_events(), 40 * DAY
    config = CovisitationConfig(num_neighbours=5, session_weight=0.3, half_life_days=10.0, shrinkage=2.0)
    dense = np.zeros((40, 40))
    for owners, share in ((events.users, 0.7), (events.sessions, 0.3)):
        counts = np.zeros((40, 40))
        for owner in np.unique(owners):
            mine = (owners == owner) & (events.times < as_of)
            latest = {}
            for row, time in zip(events.rows[mine].tolist(), events.times[mine], strict=True):
                latest[row] = 0.5 ** ((as_of - time) / (10 * DAY))
            damping = np.log2(1 + len(latest))
            for a, x in latest.items():
                for b, y in latest.items():
                    counts[a, b] += np.sqrt(x * y) / damping
        norms = np.sqrt(np.diag(counts) + 2.0)
        dense += share * counts / norms[:, None] / norms[None, :]
    np.fill_diagonal(dense, 0.0)
    found = fit_neighbours(events, 40, as_of, config)
    for row in range(40):
        rows, weights = found.of(row)
        assert row not in rows
        assert len(rows) == min(5, np.count_nonzero(dense[row]))
        np.testing.assert_allclose(weights, dense[row, rows], rtol=1e-5)
        np.testing.assert_allclose(weights, np.sort(dense[row])[::-1][: len(rows)], rtol=1e-5)


def test_the_latest_items_of_a_robot_count() -> None:
    events = random_events()
    few = fit_neighbours(events, 40, 60 * DAY, CovisitationConfig(most_items=2, session_weight=0.0))
    pairs = set()
    for user in range(15):
        mine = events.rows[events.users == user][::-1]
        last = list(dict.fromkeys(mine.tolist()))[:2]
        pairs |= {(last[0], last[1]), (last[1], last[0])}
    assert {(row, other) for row in range(40) for other in few.of(row)[0].tolist()} == pairs


def test_the_half_life_that_finds_what_came_next_is_chosen() -> None:
    """Items 0..9 were popular for long, 10..19 since yesterday; what is taken next decides."""
    old = np.tile(np.arange(10), 40)
    new = np.tile(np.arange(10, 20), 20)
    for taken, expected in ((np.arange(10, 20), HALF_LIVES[0]), (np.arange(10), HALF_LIVES[-1])):
        rows = np.concatenate([old, new, np.repeat(taken, 5)]).astype(np.int32)
        times = np.concatenate([np.linspace(0, 90 * DAY, 400), np.linspace(99, 100, 200) * DAY, np.full(50, 101 * DAY)])
        events = Events(
            users=np.arange(len(rows), dtype=np.int32),
            sessions=np.arange(len(rows), dtype=np.int64),
            rows=rows,
            times=times,
            grades=np.ones(len(rows), dtype=np.int8),
            countries=np.full(len(rows), "", dtype=object),
        )
        chosen = choose_half_life(events, 500, 100.5 * DAY, 102 * DAY)
        top = fit_popularity(events, 500, 100.5 * DAY, chosen).top(None, 10)[0]
        assert set(top.tolist()) == set(taken.tolist())
        assert (chosen <= 7.0) == (expected == HALF_LIVES[0])


def test_an_empty_validation_span_has_a_default() -> None:
    events = random_events()
    assert choose_half_life(events, 40, 60 * DAY, 70 * DAY) in HALF_LIVES


@pytest.fixture(scope="module")
def dirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return shop.write(tmp_path_factory.mktemp("shop"), num_events=1_500)


def test_events_are_the_positive_ones_in_order(dirs: tuple[Path, Path]) -> None:
    tables = PreparedTables.open(dirs[0])
    ids = item_universe(tables)
    events = Events.read(tables, ids)
    table = tables.interactions
    np.testing.assert_allclose(events.times, unix_seconds(table["timestamp"]), atol=1e-5)
    assert ids[events.rows].tolist() == table["item_id"].to_pylist()
    assert events.grades.tolist() == table["grade"].to_pylist()
    assert events.countries.tolist() == table["country"].to_pylist()
    names = np.array(table["user_id"].to_pylist())
    assert len(set(zip(events.users.tolist(), names, strict=True))) == len(set(names))
    days = (events.times // DAY).astype(np.int64)
    keys = set(zip(events.users.tolist(), days.tolist(), strict=True))
    assert len(set(events.sessions.tolist())) == len(keys)  # no sessions in this log: the user's day


def test_a_cutoff_holds_towers_index_neighbours_and_popular(dirs: tuple[Path, Path], tmp_path: Path) -> None:
    split = PreparedTables.open(dirs[0]).split
    config = TrainingConfig(dimension=16, hidden=16, batch=128, max_epochs=1)
    fit_towers(*dirs, tmp_path / "towers", until=split.test_start, config=config)
    numbers = build_cutoff(*dirs, tmp_path / "towers", tmp_path / "test", name="test")
    cutoff = Cutoff(tmp_path / "test", dirs[1])
    ids = item_universe(PreparedTables.open(dirs[0]))
    parts = load_parts(cutoff.directory, cutoff.feature_set.sources)
    assert set(parts) == {Towers, Neighbours, Popularity, Followers, Predictors, ContentNeighbours}
    towers, popularity = parts[Towers], parts[Popularity]
    assert isinstance(towers, Towers)
    assert isinstance(popularity, Popularity)
    assert numbers["num_items"] == len(ids)
    assert {part.num_items for part in parts.values()} == {len(ids)}
    assert numbers["until"] == split.test_start == popularity.as_of
    assert read_json(cutoff.directory / "index" / "index.json")["kind"] == towers.index.kind == "flat"
    rows, _ = towers.index.search(towers.embeddings[:5], 1)
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 4]
    tried = cutoff.description["sources"]
    quotas = cutoff.config().quotas
    assert quotas["fresh"] in (0, 50)
    assert {name: quotas[name] for name in tried} == {name: found["quota"] for name, found in tried.items()}
    assert quotas["two_tower"] > 0
    assert numbers["margin_similar"] == tried["similar"]["margin"]
    settings = TableSettings.model_validate(cutoff.description["tables"])
    followers = parts[Followers]
    assert isinstance(followers, Followers)
    assert followers.fade == settings.transitions.fade


def test_recall_of_a_large_index_is_measured_with_users(dirs: tuple[Path, Path], tmp_path: Path) -> None:
    tables = PreparedTables.open(dirs[0])
    until = tables.split.test_start
    config = TrainingConfig(dimension=16, hidden=16, batch=128, max_epochs=1)
    fit_towers(*dirs, tmp_path / "towers", until=until, config=config)
    index = IndexConfig(hnsw_from=1)
    numbers = build_cutoff(*dirs, tmp_path / "towers", tmp_path / "test", name="test", index=index)
    towers = tmp_path / "test" / TOWERS
    asked = user_vectors(tables, dirs[1], towers, until)
    before = {user for user, time in zip(*user_times(tables), strict=True) if time < until}
    assert len(asked) == min(200, len(before))
    np.testing.assert_allclose(np.linalg.norm(asked, axis=1), 1.0, atol=1e-5)
    built = ItemIndex.load(tmp_path / "test" / INDEX)
    items = np.asarray(UserEncoder.load(towers).item_embeddings)
    assert built.kind == "hnsw"
    assert numbers["index_recall"] == built.recall_at(500, asked, items) >= 0.95


def user_times(tables: PreparedTables) -> tuple[list[str], list[float]]:
    table = tables.interactions
    return table["user_id"].to_pylist(), unix_seconds(table["timestamp"]).tolist()
