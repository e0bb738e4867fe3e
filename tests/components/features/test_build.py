"""The features step: its files, and that they are the same every time."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.features import build_features
from components.validation.rows.checks import check_rows
from feature_repo.dataset.tables import PreparedTables, item_universe
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.storage.files import sha256
from tests.kit import random_log
from tests.kit.prepared_tables import START, config, event, write_prepared


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_log.write(tmp_path_factory.mktemp("tables"), random_log.rows(seed=4, num_events=120))


def test_two_builds_are_the_same_bytes(tables: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        build_features(tables, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 7
    for file in files:
        assert sha256(tmp_path / "one" / file) == sha256(tmp_path / "two" / file), file


def test_content_is_aligned_to_the_row_map(tables: Path, tmp_path: Path) -> None:
    build_features(tables, tmp_path)
    directory = FeaturesDirectory(tmp_path)
    ids = directory.item_ids().tolist()
    content = pq.read_table(directory.items_static_file).to_pylist()
    assert ids == item_universe(PreparedTables.open(tables)).tolist()
    assert [row["item_id"] for row in content] == ids
    rows = {row["item_id"]: row for row in content}
    assert rows["i0"]["price"] == 99.0  # the newest of its history
    assert rows["i1"]["title"] == "thing 1"
    assert rows["i16"]["title"] is None  # seen in the log only


def test_items_without_a_row_have_no_content(tmp_path: Path) -> None:
    """After the row rules too: the engine marks columns of the clean tables in which it sees no null."""
    rows = {"interactions": [event(n) for n in range(60)], "items": [{"item_id": "i1", "title": "thing", "price": 2.0}]}
    tables = write_prepared(tmp_path / "tables", config(), **rows)
    check_rows(tables, tmp_path / "clean", tmp_path / "quarantine", tmp_path / "report.html")
    build_features(tmp_path / "clean", tmp_path / "features")
    content = pq.read_table(FeaturesDirectory(tmp_path / "features").items_static_file).to_pylist()
    assert {row["item_id"]: row["title"] for row in content} == {
        f"i{n}": "thing" if n == 1 else None for n in range(11)
    }


@pytest.mark.parametrize(
    ("users", "items", "hours"),
    [(1, 5, 200), (5, 1, 200), (3, 3, 20), (1, 1, 0)],
    ids=["user", "item", "short", "moment"],
)
def test_small_logs_build(tmp_path: Path, users: int, items: int, hours: int) -> None:
    """One user, one item, a log of a day, a single moment: no table has a row of content."""
    events = [
        event(n, user_id=f"u{n % users}", item_id=f"i{n % items}", **({} if hours else {"timestamp": START}))
        for n in range(max(hours, 3))
    ]
    write_prepared(tmp_path / "tables", config(), interactions=events)
    build_features(tmp_path / "tables", tmp_path / "features")
    found = pq.read_table(FeaturesDirectory(tmp_path / "features").snapshots / "user_history.parquet")
    assert set(found["user_id"].to_pylist()) == {f"u{n}" for n in range(users)}
