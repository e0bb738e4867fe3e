"""Dataset and served log are one history: labels joined, events once, files named, nothing lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.ingest import dataset_fingerprint, ingest
from components.replay.groups import read_groups
from components.validation.rows.checks import check_rows
from feature_repo.dataset.tables import PreparedTables
from feature_repo.storage.files import write_parquet
from tests.components.ingest.conftest import CONFIG, START, DatasetFactory, interactions
from tests.components.ingest.tables import with_column
from tests.kit.log_parts import event, slate, write_part
from tests.kit.object_store import ObjectStore

END = START + timedelta(hours=8 * 59)  # of the dataset
SERVED = END + timedelta(minutes=10)
RENAMED = CONFIG + '[columns.interactions]\nuser_id = "who"\n[columns.impressions]\nclick = "is_click"\n'


def not_utf8() -> pa.Array:
    """One text that is not UTF-8, which Parquet files may hold."""
    return pa.StringArray.from_buffers(1, *pa.array([b"\xff"], pa.binary()).buffers()[1:])


def renamed() -> pa.Table:
    return interactions().rename_columns(["who", "item_id", "event_type", "timestamp"])


def own_slates() -> pa.Table:
    return pa.table(
        {
            "request_id": ["d1", "d1"],
            "user_id": ["u0", "u0"],
            "item_id": ["i0", "i1"],
            "timestamp": pa.array([START + timedelta(days=1)] * 2, pa.timestamp("us", tz="UTC")),
            "is_click": [0, 1],
        }
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two slates and their events, one of them posted twice in another part."""
    path = tmp_path / "log"
    shown = slate("s1", "u1", ["i1", "i2", "i3"], SERVED) + slate("s2", "new", ["i4", "i5"], SERVED)
    write_part(path, "impressions", "a", shown)
    clicked = event("e1", "u1", "i2", "view", SERVED + timedelta(minutes=1), request_id="s1")
    write_part(path, "interactions", "a", [clicked])
    bought = event("e2", "u1", "i2", "purchase", SERVED + timedelta(minutes=3), request_id="s1", price=4.0)
    turned = event("e3", "new", "i4", "return", SERVED + timedelta(minutes=4), request_id="s2")
    again = {**clicked, "timestamp": SERVED + timedelta(minutes=2)}
    write_part(path, "interactions", "b", [again, bought, turned])
    return path


def prepared(directory: Path, log: Path | str = "") -> PreparedTables:
    out = directory.parent / "tables"
    ingest(directory, out, log=log)
    return PreparedTables.open(out)


def rows(tables: PreparedTables, table: str, since: int) -> list[dict[str, Any]]:
    return sorted(
        (row for row in tables.read(table).to_pylist() if row["row"] >= since), key=lambda row: int(row["row"])
    )


def test_the_log_goes_on_where_the_dataset_ends(dataset: DatasetFactory, log: Path) -> None:
    """Contract names whatever dataset.toml renames; own label columns stay, the log's labels are joined."""
    tables = prepared(dataset(RENAMED, interactions=renamed(), impressions=own_slates()), log)
    assert tables.num_rows["interactions"] == 63
    assert tables.split.log_end == (SERVED + timedelta(minutes=4)).timestamp()
    events = rows(tables, "interactions", 60)
    assert [(row["event_id"], row["grade"]) for row in events] == [("e1", 1), ("e2", 2), ("e3", -1)]
    assert events[0]["timestamp"] == SERVED + timedelta(minutes=1)  # the first of the two
    assert tables.description["num_repeated_events"] == 1
    assert [row["label_click"] for row in rows(tables, "impressions", 0)] == [0, 1, 0, 1, 0, 0, 0]
    assert [row["label_convert"] for row in rows(tables, "impressions", 0)] == [None, None, 0, 1, 0, 0, 0]
    assert [row["grade"] for row in rows(tables, "impressions", 0)] == [0, 1, 0, 2, 0, -1, 0]
    assert [row["position"] for row in rows(tables, "impressions", 2)] == [0, 1, 2, 0, 1]
    assert tables.description["label_sources"] == {"click": "column, joined", "convert": "joined"}
    assert tables.description["num_own"] == {"interactions": 60, "items": 0, "users": 0, "impressions": 2}


def test_the_datasets_own_rows_are_as_without_a_log(dataset: DatasetFactory, log: Path) -> None:
    directory = dataset(RENAMED, interactions=renamed(), impressions=own_slates())
    alone = {table: prepared(directory).read(table) for table in ("interactions", "impressions")}
    tables = prepared(directory, log)
    for table, before in alone.items():
        kept = tables.read(table).to_pylist()
        assert [row for row in kept if row["row"] < before.num_rows] == before.to_pylist()


@pytest.mark.parametrize("made", [False, True])
def test_an_empty_or_absent_log_is_none(dataset: DatasetFactory, tmp_path: Path, made: bool) -> None:
    log = tmp_path / "log"
    if made:
        (log / "impressions" / "date=2024-03-20" / "hour=08").mkdir(parents=True)
        (log / "impressions" / "date=2024-03-20" / "hour=08" / ".part-a.parquet.tmp").write_bytes(b"PAR1 being written")
    directory = dataset()
    before = prepared(directory).description
    assert prepared(directory, log).description == before
    assert before["fingerprint"] == dataset_fingerprint(directory, log) == dataset_fingerprint(directory)


def test_the_fingerprint_covers_the_log(dataset: DatasetFactory, log: Path) -> None:
    directory = dataset()
    before = dataset_fingerprint(directory, log)
    assert prepared(directory, log).description["fingerprint"] == before
    assert before.startswith(dataset_fingerprint(directory) + "+")
    write_part(log, "interactions", "c", [event("e9", "u1", "i1", "view", SERVED)])
    assert dataset_fingerprint(directory, log) != before


def test_an_event_that_was_brought_into_the_dataset_too_counts_once(dataset: DatasetFactory, log: Path) -> None:
    brought = interactions().append_column("event_id", [[f"e{1000 + n}" for n in range(59)] + ["e2"]])
    tables = prepared(dataset(interactions=brought), log)
    assert [row["event_id"] for row in rows(tables, "interactions", 60)] == ["e1", "e3"]
    assert tables.description["num_repeated_events"] == 2


def test_unlabelled_impressions_of_the_dataset_stay_so(dataset: DatasetFactory, log: Path) -> None:
    """Events of the log say nothing of what became of the dataset's own slates."""
    tables = prepared(dataset(impressions=own_slates().drop_columns(["is_click"])), log)
    assert [row["label_click"] for row in rows(tables, "impressions", 0)] == [None, None, 0, 1, 0, 0, 0]


def test_events_without_requests_tell_no_labels(dataset: DatasetFactory, tmp_path: Path) -> None:
    write_part(tmp_path / "log", "impressions", "a", slate("s1", "u1", ["i1", "i2"], SERVED))
    tables = prepared(dataset(), tmp_path / "log")
    assert [row["label_click"] for row in rows(tables, "impressions", 0)] == [None, None]
    assert tables.description["label_sources"] == {"click": "absent", "convert": "absent"}


def test_slates_of_the_log_are_groups_beside_the_sessions(dataset: DatasetFactory, log: Path) -> None:
    """A dataset without slates keeps its sessions to learn from; a request with no click is a silent group."""
    directory = dataset()
    span: dict[str, Any] = {"start": 0, "end": 4e9, "limit": 1000, "seed": 0}
    sessions = {query.request_id for query in read_groups(prepared(directory), **span).queries}
    tables = prepared(directory, log)
    assert tables.has_slates
    groups = read_groups(tables, **span)
    found = {query.request_id for query in groups.queries}
    assert found == sessions | {"s1", "s2"}
    place = [query.request_id for query in groups.queries].index("s2")
    assert groups.grades[groups.offsets[place] : groups.offsets[place + 1]].tolist() == [0, 0]
    assert groups.shown.sum() == 5


def test_slates_of_the_dataset_are_the_only_groups(dataset: DatasetFactory, log: Path) -> None:
    tables = prepared(dataset(RENAMED, interactions=renamed(), impressions=own_slates()), log)
    groups = read_groups(tables, start=0, end=4e9, limit=1000, seed=0)
    assert [query.request_id for query in groups.queries] == ["d1", "s2", "s1"]  # by user where times are equal


def test_row_rules_and_their_description_know_the_log(dataset: DatasetFactory, log: Path, tmp_path: Path) -> None:
    write_part(log, "interactions", "c", [event("e9", "u1", "i1", "view", SERVED, price=-1.0)])
    before = prepared(dataset(), log)
    report = check_rows(before.directory, tmp_path / "clean", tmp_path / "quarantine", tmp_path / "page.html")
    assert report.tables["interactions"].rows == 64
    assert report.tables["interactions"].bad == 1
    clean = PreparedTables.open(tmp_path / "clean")
    for name in ("fingerprint", "num_own", "label_sources", "num_repeated_events", "has_own_slates"):
        assert clean.description[name] == before.description[name]


def test_a_damaged_part_is_left_out_and_named(
    dataset: DatasetFactory, log: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_part(log, "impressions", "0", slate("s0", "u1", ["i1", "i2"], SERVED))
    part = next((log / "impressions").rglob("part-a.parquet"))
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    shown = prepared(dataset(), log).impressions["request_id"].to_pylist()
    assert set(shown) == {"s0"}
    assert "the log of impressions: 1 part cannot be read" in (said := capfd.readouterr().err)
    assert f"{part}: it is not a complete Parquet file" in said
    part.write_bytes(whole[:4] + b"\xff" * 200 + whole[204:])  # whole to its end, but not inside
    assert prepared(dataset(), log).impressions["request_id"].to_pylist() == shown
    assert f"{part}: its rows are damaged" in capfd.readouterr().err


def test_parts_of_other_columns_and_types_are_left_out(
    dataset: DatasetFactory, log: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = prepared(dataset(), log).num_rows
    part = next((log / "interactions").rglob("part-a.parquet"))
    good = pq.read_table(part, partitioning=None)
    price = good.schema.get_field_index("price")
    write_parquet(part.with_name("part-x.parquet"), good.set_column(price, "price", pa.array(["dear"])))
    write_parquet(part.with_name("part-y.parquet"), good.drop_columns(["item_id"]))
    capfd.readouterr()
    assert prepared(dataset(), log).num_rows == before
    said = capfd.readouterr().err
    assert "the log of interactions: 2 parts cannot be read and will be left out" in said
    assert "part-x.parquet: its column 'price' is of type string, not numbers" in said
    assert "part-y.parquet: it has no column 'item_id'" in said


@pytest.mark.parametrize(
    ("name", "column", "reason"),
    [
        ("user_id", not_utf8(), "its rows are damaged"),
        ("device", not_utf8(), "its rows are damaged"),
        ("FileName", pa.array(["x"]), "it has a column 'filename', a reserved name"),
        ("User_ID", pa.array(["x"]), "it has several columns 'user_id'"),
    ],
)
def test_columns_that_stop_the_engine_cost_their_part_only(
    dataset: DatasetFactory, log: Path, name: str, column: pa.Array, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = prepared(dataset(), log).num_rows
    part = next((log / "interactions").rglob("part-a.parquet"))
    bad = part.with_name("part-x.parquet")
    write_parquet(bad, with_column(pq.read_table(part, partitioning=None), name, column))
    capfd.readouterr()
    assert prepared(dataset(), log).num_rows == before
    assert f"{bad}: {reason}" in capfd.readouterr().err


def test_types_that_nobody_can_use_are_not_printed(
    dataset: DatasetFactory, log: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    posted = [event(f"x{kind}", "u1", "i2", kind, SERVED) for kind in ("a\nb", "c" * 65, "it's")]
    write_part(log, "interactions", "x", posted)
    assert list(prepared(dataset(), log).description["context_event_types"])[-1:] == ["it's"]
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("event type")]
    assert said[-1] == 'event type "it\'s" (1 rows) fulfils no objective and is kept as context'


def test_a_log_in_a_bucket(dataset: DatasetFactory, log: Path, bucket: str, s3_server: ObjectStore) -> None:
    from feature_repo.storage.remote_folder import RemoteFolder

    directory = dataset()
    url = f"s3://{bucket}/logs/shop"
    assert prepared(directory, url).description == prepared(directory).description
    assert dataset_fingerprint(directory, url) == dataset_fingerprint(directory)
    names = [path.relative_to(log).as_posix() for path in log.rglob("*.parquet")]
    RemoteFolder(url).upload(log, names, "")
    assert dataset_fingerprint(directory, url) == dataset_fingerprint(directory, log)
    remote = prepared(directory, url)
    assert remote.description == prepared(directory, log).description
    assert sorted(entry.name for entry in directory.parent.iterdir()) == ["dataset", "log", "tables"]


def test_many_parts_are_read_as_one_table(dataset: DatasetFactory, tmp_path: Path) -> None:
    """Also where their other columns differ, as they do from one feature set to the next."""
    log, second = tmp_path / "log", timedelta(seconds=1)
    for number in range(300):
        path = write_part(
            log, "impressions", f"{number:03}", slate(f"s{number}", "u1", ["i1", "i2"], SERVED + number * second)
        )
        if number % 2:
            duckdb.sql(f"COPY (SELECT * EXCLUDE (feature_item_price), 1.0 AS feature_x FROM '{path}') TO '{path}'")
    tables = prepared(dataset(), log)
    assert tables.num_rows["impressions"] == 600
    assert [row["request_id"] for row in rows(tables, "impressions", 0)][::2] == [f"s{number}" for number in range(300)]
