"""Ingest keeps the contract: what an owner's columns become."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest import dataset_fingerprint, ingest
from components.ingest.preparation import connect
from feature_repo.dataset.tables import item_universe, table_schema
from tests.components.ingest.conftest import CONFIG, START, DatasetFactory, interactions
from tests.components.ingest.tables import column, prepared, with_column

MICROSECONDS = pa.timestamp("us", tz="UTC")


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


def impressions(**columns: object) -> pa.Table:
    return pa.table(
        {
            "request_id": ["r1", "r1", "r2", "r3"],
            "user_id": ["u0", "u0", "u1", "u2"],
            "item_id": ["i0", "i1", "i0", "i2"],
            "timestamp": pa.array([START + timedelta(days=1)] * 4, MICROSECONDS),
            **columns,
        }
    )


def test_labels_of_own_columns_mean_any_of_a_list(dataset: DatasetFactory) -> None:
    shown = impressions(
        is_click=pa.array([1, 0, None, 1], pa.int8()),
        liked=[True, False, False, None],
        followed=pa.array([0.0, 1.0, 0.0, math.nan]),
        position=pa.array([0.0, 1.0, math.nan, -1.0]),
        propensity=[0.5, 0.0, 1.5, math.nan],
    )
    config = CONFIG + '[columns.impressions]\nclick = "is_click"\nconvert = ["liked", "followed"]\n'
    tables = prepared(dataset(config, impressions=shown))
    assert column(tables, "impressions", "label_click") == [1, 0, 0, 1]
    assert column(tables, "impressions", "label_convert") == [1, 1, 0, 0]
    assert column(tables, "impressions", "grade") == [2, 2, 0, 1]
    assert column(tables, "impressions", "position") == [0, 1, None, None]
    assert column(tables, "impressions", "propensity") == [0.5, None, None, None]
    assert tables.has_slates
    assert tables.has_positions
    assert tables.description["label_sources"] == {"click": "column", "convert": "column"}


def test_labels_are_joined_through_request_and_item(dataset: DatasetFactory) -> None:
    log = pa.table(
        {
            "user_id": ["u0", "u0", "u1", "u2", "u2"],
            "item_id": ["i0", "i0", "i0", "i2", "i9"],
            "event_type": ["view", "purchase", "view", "return", "view"],
            "timestamp": pa.array([START + timedelta(days=1, minutes=5)] * 5, MICROSECONDS),
            "request_id": ["r1", "r1", None, "r3", "r3"],
        }
    )
    tables = prepared(dataset(interactions=log, impressions=impressions()))
    assert column(tables, "impressions", "label_click") == [1, 0, 0, 0]
    assert column(tables, "impressions", "label_convert") == [1, 0, 0, 0]
    assert column(tables, "impressions", "grade") == [2, 0, 0, -1]
    assert tables.description["label_sources"] == {"click": "joined", "convert": "joined"}


def test_labels_that_nothing_tells_are_null(dataset: DatasetFactory) -> None:
    tables = prepared(dataset(impressions=impressions()))
    assert column(tables, "impressions", "label_click") == [None] * 4
    assert column(tables, "impressions", "grade") == [0] * 4
    assert tables.description["label_sources"] == {"click": "absent", "convert": "absent"}


def test_directories_of_files_and_hive_folders_are_one_table(dataset: DatasetFactory) -> None:
    directory = dataset()
    (directory / "interactions.parquet").unlink()
    whole = interactions(30)
    for place, (kind, rows) in enumerate((("view", whole.slice(0, 10)), ("purchase", whole.slice(10)))):
        folder = directory / "interactions" / f"event_type={kind}" / f"date=2024-03-0{place + 1}"
        folder.mkdir(parents=True)
        pq.write_table(rows.drop_columns(["event_type"]), folder / "part-0.parquet")
    mixed = directory / "interactions" / "event_type=view" / "date=2024-03-09"
    mixed.mkdir()
    pq.write_table(
        with_column(whole.slice(0, 2).drop_columns(["event_type"]), "user_id", pa.array([7, 8])), mixed / "p.parquet"
    )
    (directory / "interactions" / "_temporary").mkdir()
    (directory / "interactions" / "_temporary" / "half.parquet").write_bytes(b"PAR1")
    tables = prepared(directory)
    assert sorted(tables.interactions["row"].to_pylist()) == list(range(32))
    assert column(tables, "interactions", "event_type") == ["purchase"] * 20 + ["view"] * 12
    assert column(tables, "interactions", "user_id")[-2:] == ["7", "8"]


def test_hive_folders_are_those_inside_the_table(dataset: DatasetFactory) -> None:
    """A folder above the table may have the same key, and a key may hold what a pattern would read otherwise."""
    config = CONFIG + '[columns.interactions]\nevent_type = "a.type(1)"\ndevice = "on"\n'
    directory = dataset(config, interactions=interactions(4).drop_columns(["event_type"]))
    above = directory.parent / "a.type(1)=search" / "on=nothing"
    above.parent.mkdir()
    directory = directory.rename(above)
    for number, device in enumerate(("a%20b", "__HIVE_DEFAULT_PARTITION__")):
        folder = directory / "interactions" / "a.type(1)=view" / f"on={device}"
        folder.mkdir(parents=True)
        pq.write_table(pq.read_table(directory / "interactions.parquet"), folder / f"{number}.parquet")
    (directory / "interactions.parquet").unlink()
    tables = prepared(directory)
    assert column(tables, "interactions", "event_type") == ["view"] * 8
    assert column(tables, "interactions", "device") == [None] * 4 + ["a b"] * 4


def test_names_of_files_with_pattern_characters_are_read_literally(dataset: DatasetFactory) -> None:
    directory = dataset()
    odd = directory.rename(directory.parent / "it's [1]*?")
    assert prepared(odd).num_rows["interactions"] == 60


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


def test_the_fingerprint_follows_content_and_nothing_else(dataset: DatasetFactory) -> None:
    directory = dataset()
    before = dataset_fingerprint(directory)
    (directory / "notes.txt").write_text("not part of it")
    assert dataset_fingerprint(directory.rename(directory.parent / "moved")) == before
    assert dataset_fingerprint(dataset(interactions=interactions(59))) != before
    assert dataset_fingerprint(dataset(CONFIG + "[quality]\nminimum_rate = 0.5\n")) != before


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


def test_the_engine_spills_instead_of_growing(tmp_path: Path) -> None:
    with connect(tmp_path) as connection:
        limit, zone = connection.execute(
            "SELECT current_setting('memory_limit'), current_setting('TimeZone')"
        ).fetchone() or ("", "")
    assert limit.endswith("GiB")
    assert float(limit.split()[0]) < 2
    assert zone == "UTC"
    assert duckdb.__version__
