"""Odd logs through ingest and row rules: odd rows are put aside, odd shapes are datasets like any other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.ingest import ingest
from components.marketplace.config import config_for
from components.marketplace.dataset.directory import make_dataset
from components.validation.report import QualityReport
from components.validation.rows.checks import check_rows
from feature_repo.dataset.tables import PreparedTables, item_universe

TABLES = ("interactions", "items", "users", "impressions")
Bend = Callable[[str, pa.Table], pa.Table]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("odd") / "world"
    make_dataset(config_for("tiny"), directory)
    return directory


def checked(world: Path, directory: Path, bend: Bend, leave_out: str = "") -> tuple[QualityReport, PreparedTables]:
    """The world's tables, bent, after ingest and row rules."""
    dataset = directory / "dataset"
    dataset.mkdir()
    (dataset / "dataset.toml").write_bytes((world / "dataset.toml").read_bytes())
    for table in TABLES:
        if table != leave_out:
            pq.write_table(bend(table, pq.read_table(world / f"{table}.parquet")), dataset / f"{table}.parquet")
    ingest(dataset, directory / "tables")
    report = check_rows(directory / "tables", directory / "clean", directory / "aside", directory / "page.html")
    return report, PreparedTables.open(directory / "clean")


def as_is(_: str, table: pa.Table) -> pa.Table:
    return table


def with_values(table: pa.Table, column: str, values: dict[int, Any]) -> pa.Table:
    listed = table[column].to_pylist()
    for row, value in values.items():
        listed[row] = value
    place = table.schema.get_field_index(column)
    return table.set_column(place, column, pa.array(listed, table.schema.field(column).type))


def count(report: QualityReport, reason: str) -> int:
    return next(found.count for found in report.tables["interactions"].findings if found.reason == reason)


def test_a_row_of_2099_is_put_aside_and_moves_nothing(world: Path, tmp_path: Path) -> None:
    def bend(name: str, table: pa.Table) -> pa.Table:
        far = datetime(2099, 1, 1, tzinfo=UTC)
        return with_values(table, "timestamp", {7: far}) if name == "interactions" else table

    (tmp_path / "plain").mkdir()
    plain, clean = checked(world, tmp_path / "plain", as_is)
    report, bent = checked(world, tmp_path, bend)
    assert report.passed
    assert count(report, "outlying_time") == count(plain, "outlying_time") + 1
    assert bent.split == clean.split


def test_two_negative_prices_are_put_aside_and_a_nan_is_missing(world: Path, tmp_path: Path) -> None:
    clean_rows = pc.indices_nonzero(pc.greater(pq.read_table(world / "interactions.parquet")["price"], 0)).to_pylist()
    nan, *negative = clean_rows[100:103]

    def bend(name: str, table: pa.Table) -> pa.Table:
        prices = {nan: float("nan"), **dict.fromkeys(negative, -1.0)}
        return with_values(table, "price", prices) if name == "interactions" else table

    (tmp_path / "plain").mkdir()
    plain, _ = checked(world, tmp_path / "plain", as_is)
    report, bent = checked(world, tmp_path, bend)
    assert report.passed
    assert count(report, "negative_price") == count(plain, "negative_price") + 2
    kept = {row["row"]: row["price"] for row in bent.read("interactions", ["row", "price"]).to_pylist()}
    assert kept[nan] is None
    assert not kept.keys() & set(negative)


def test_integer_ids_without_an_items_table(world: Path, tmp_path: Path) -> None:
    def bend(_: str, table: pa.Table) -> pa.Table:
        for column in {"user_id", "item_id"} & set(table.column_names):
            numbers = pc.cast(pc.utf8_replace_slice(table[column], 0, 1, ""), pa.int64())
            table = table.set_column(table.schema.get_field_index(column), column, numbers)
        return table

    report, bent = checked(world, tmp_path, bend, leave_out="items")
    assert report.passed
    assert bent.num_rows["items"] == 0
    assert all(item.isdigit() for item in item_universe(bent))


@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_one_user_or_one_item_is_a_log(world: Path, tmp_path: Path, column: str) -> None:
    events = pq.read_table(world / "interactions.parquet")
    counts = pc.value_counts(events[column].drop_null()).to_pylist()
    busiest = sorted(counts, key=lambda one: -one["counts"])
    # The busiest user is a bot, of which nothing is learned.
    chosen = busiest[1 if column == "user_id" else 0]["values"]

    def bend(_: str, table: pa.Table) -> pa.Table:
        return table.filter(pc.equal(table[column], chosen)) if column in table.column_names else table

    report, bent = checked(world, tmp_path, bend)
    assert report.tables["interactions"].kept > 0
    assert set(bent.interactions[column].to_pylist()) == {chosen}
