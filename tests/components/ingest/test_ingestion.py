"""Ingest keeps the contract: what an owner's columns become."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from components.ingest import ingest
from feature_repo.dataset.tables import item_universe, table_schema
from feature_repo.errors import DatasetError, StorageError, exit_with_sentence
from tests.components.ingest.conftest import CONFIG, START, DatasetFactory, interactions
from tests.components.ingest.refusals import refusal
from tests.components.ingest.tables import MICROSECONDS, column, impressions, prepared, with_column
from tests.kit.small_disk import SmallDisk


def test_every_table_and_column_exists_with_the_documented_types(dataset: DatasetFactory) -> None:
    tables = prepared(dataset())
    for table in ("interactions", "items", "users", "impressions"):
        schema, wanted = tables.read(table).schema, table_schema(table, tables.config)
        assert (schema.names, schema.types) == (wanted.names, wanted.types)
    assert tables.num_rows == {"interactions": 60, "items": 0, "users": 0, "impressions": 0}
    assert list(item_universe(tables)) == [f"i{k}" for k in range(6)]
    assert not tables.has_slates
    assert not tables.has_positions
    assert tables.objectives == ("click", "convert")


def test_grades_follow_the_order_of_the_objectives(dataset: DatasetFactory) -> None:
    kinds = ["view", "purchase", "return", "search"]
    tables = prepared(dataset(interactions=with_column(interactions(4), "event_type", pa.array(kinds))))
    assert column(tables, "interactions", "grade") == [1, 2, -1, 0]
    assert tables.description["context_event_types"] == {"search": 1}


def test_rows_are_sorted_by_time_and_keep_their_place_in_the_file(dataset: DatasetFactory) -> None:
    shuffled = interactions(60).take(list(reversed(range(60))))
    read = prepared(dataset(interactions=shuffled)).interactions
    assert read["timestamp"].to_pylist() == sorted(read["timestamp"].to_pylist())
    assert read["row"].to_pylist() == list(reversed(range(60)))


def test_equal_times_keep_file_order(dataset: DatasetFactory) -> None:
    tied = with_column(interactions(60), "timestamp", pa.array([START] * 60, MICROSECONDS))
    assert prepared(dataset(interactions=tied)).interactions["row"].to_pylist() == list(range(60))


def test_histories_come_in_the_order_they_hold(dataset: DatasetFactory) -> None:
    times = pa.array([START + timedelta(days=2), START, None, None], MICROSECONDS)
    items = pa.table({"item_id": ["b", "b", "b", "a"], "price": [3.0, 2.0, 1.0, 9.0], "valid_from": times})
    tables = prepared(dataset(items=items))
    assert tables.items["item_id"].to_pylist() == ["a", "b", "b", "b"]
    assert tables.items["price"].to_pylist() == [9.0, 1.0, 2.0, 3.0]


def test_renamed_columns_lose_their_old_meaning(dataset: DatasetFactory) -> None:
    table = (
        interactions(3).append_column("value", pa.array([2.0, 3.0, 4.0])).append_column("basket", pa.array([1, 2, 2]))
    )
    config = CONFIG + '[columns.interactions]\nquantity = "value"\nsession_id = "basket"\nrequest_id = "basket"\n'
    tables = prepared(dataset(config, interactions=table))
    assert column(tables, "interactions", "quantity") == [2.0, 3.0, 4.0]
    assert column(tables, "interactions", "value") == [None] * 3
    assert (
        column(tables, "interactions", "session_id") == column(tables, "interactions", "request_id") == ["1", "2", "2"]
    )


def test_surfaces_are_named_as_the_dataset_says_and_others_stay(dataset: DatasetFactory) -> None:
    table = interactions(4).append_column("surface", pa.array([1, 0, 7, None]))
    tables = prepared(dataset(CONFIG + '[surfaces]\nhome = ["1", "0"]\n', interactions=table))
    assert column(tables, "interactions", "surface") == ["home", "home", "7", None]


def test_exact_duplicates_share_a_hash_over_every_source_column(dataset: DatasetFactory) -> None:
    row = interactions(1)
    table = pa.concat_tables([row] * 4).append_column("not_prepared", pa.array([1, 1, 2, None]))
    hashes = column(prepared(dataset(interactions=table)), "interactions", "row_hash")
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_bad_rows_are_kept_and_do_not_move_the_end_of_the_log(dataset: DatasetFactory) -> None:
    good = interactions(60).append_column("price", pa.array([1.0] * 60))
    bad = pa.table(
        {
            "user_id": [None, "u1", "u1"],
            "item_id": ["i1", "i1", "i1"],
            "event_type": ["view"] * 3,
            "timestamp": pa.array([START + timedelta(days=90), START + timedelta(days=91), None], MICROSECONDS),
            "price": [1.0, -1.0, 1.0],
        }
    )
    future = bad.slice(2).set_column(3, "timestamp", pa.array([datetime(2099, 1, 1, tzinfo=UTC)], MICROSECONDS))
    tables = prepared(dataset(interactions=pa.concat_tables([good, bad, future])))
    assert tables.num_rows["interactions"] == 64
    assert tables.split.log_end == (START + timedelta(hours=8 * 59)).timestamp()
    assert tables.split.log_start == START.timestamp()


def test_one_user_on_one_item_is_a_dataset(dataset: DatasetFactory) -> None:
    tables = prepared(dataset(interactions=interactions(1)))
    assert tables.split.test_start > tables.split.log_end
    assert list(tables.split.cuts()) == [tables.split.log_end]


def test_source_columns_may_have_any_other_name(dataset: DatasetFactory) -> None:
    names = ["row", "row_hash", "grade", "first_row", "path", "element", "source", "Price", 'a "quoted" name']
    items = pa.table({"item_id": ["a"], "tags": [["x"]], **{name: [1] for name in names}})
    config = CONFIG + '[columns.items]\nprice = "Price"\n[features.items]\ncategorical = ["path", "tags"]\n'
    tables = prepared(dataset(config, items=items))
    assert column(tables, "items", "price") == [1.0]
    assert column(tables, "items", "path") == ["1"]
    assert column(tables, "items", "tags") == ["x"]
    assert column(tables, "items", "row_hash") != [1]


def test_a_second_run_gives_the_same_bytes(dataset: DatasetFactory) -> None:
    directory = dataset(impressions=impressions())
    out = directory.parent / "tables"
    ingest(directory, out)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    ingest(directory, out)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert sorted(before) == [
        "dataset.json",
        *sorted(f"{t}.parquet" for t in ("impressions", "interactions", "items", "users")),
    ]
    assert json.loads(before["dataset.json"])["num"]["impressions"] == 4


def test_an_empty_optional_table_is_an_absent_one(dataset: DatasetFactory, tmp_path: Path) -> None:
    directory = dataset(items=pa.table({"item_id": pa.array([], pa.string())}))
    assert ingest(directory, tmp_path / "tables")["num"]["items"] == 0


def test_what_was_there_stays_when_a_dataset_is_refused(dataset: DatasetFactory, tmp_path: Path) -> None:
    out = tmp_path / "tables"
    ingest(dataset(), out)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(DatasetError):
        ingest(dataset(interactions=interactions().drop_columns(["user_id"])), out)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


@pytest.mark.parametrize("far", [-(2**63), 2**62])
def test_a_time_that_no_reader_can_hold_is_named_with_column_and_row(dataset: DatasetFactory, far: int) -> None:
    created = pa.array([0, far]).view(pa.timestamp("ms"))
    message = refusal(dataset(items=pa.table({"item_id": ["a", "b"], "created_at": created})))
    assert "items.parquet: column 'created_at' holds a time beyond the year 294,246 in row 1" in message


def test_the_largest_time_of_java_is_missing(dataset: DatasetFactory) -> None:
    created = pa.array([86_400_000, 2**63 - 1]).view(pa.timestamp("ms"))
    tables = prepared(dataset(items=pa.table({"item_id": ["a", "b"], "created_at": created})))
    assert column(tables, "items", "created_at") == [datetime(1970, 1, 2, tzinfo=UTC), None]


def test_a_full_disk_is_not_the_fault_of_the_dataset(
    dataset: DatasetFactory, disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, out = dataset(interactions=interactions(20_000)), disk.path / "tables"
    ingest(dataset(), out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    dataset(interactions=interactions(20_000))
    disk.leave(30_000)
    with pytest.raises(SystemExit) as ended, exit_with_sentence():
        ingest(directory, out)
    assert ended.value.code == StorageError.exit_code
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: No space left on device; make room on the disk")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in disk.path.iterdir()] == ["tables"]
    disk.make_room()
    assert ingest(directory, out)["num"]["interactions"] == 20_000
