"""A log is read by its span, whatever its parts' feature sets, and a posted-twice event once."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from feature_repo.errors import DatasetError, StorageError
from feature_repo.storage.files import write_parquet
from feature_repo.storage.remote_folder import RemoteFolder
from inference.log.layout import INTERACTIONS_SCHEMA, hour_folder
from inference.log.reader import latest, latest_impression, local_log, read_impressions, read_interactions

START = datetime(2026, 3, 31, 22, 0, tzinfo=UTC).timestamp()


def impressions(times, feature="price", request="r"):
    return pa.table(
        {
            "request_id": [f"{request}{place}" for place in range(len(times))],
            "user_id": ["u"] * len(times),
            "timestamp": pa.array([round(time * 1e6) for time in times]).cast(pa.timestamp("us", tz="UTC")),
            "position": pa.array([0] * len(times), pa.int32()),
            f"feature_{feature}": pa.array(np.arange(len(times), dtype=np.float32)),
        }
    )


def events(rows):
    columns = {name: [row.get(name) for row in rows] for name in INTERACTIONS_SCHEMA.names}
    columns["timestamp"] = [datetime.fromtimestamp(row["timestamp"], UTC) for row in rows]
    return pa.table(columns, schema=INTERACTIONS_SCHEMA)


def put(log: Path, table: str, rows: pa.Table, name: str = "part-a.parquet") -> Path:
    hour = int(rows["timestamp"].cast(pa.int64())[0].as_py() // 3_600_000_000)
    path = log / table / hour_folder(hour) / name
    write_parquet(path, rows)
    return path


@pytest.fixture
def log(tmp_path):
    """Four hours of impressions, the last of another feature set; events, one of them twice."""
    for hour in range(3):
        put(tmp_path, "impressions", impressions([START + 3600 * hour, START + 3600 * hour + 1800]))
    put(tmp_path, "impressions", impressions([START + 3 * 3600], "age", "s"))
    first = {"event_id": "e1", "user_id": "u", "item_id": "i", "event_type": "view", "timestamp": START + 7200}
    again = {**first, "timestamp": START + 10_800, "event_type": "late"}
    other = {**first, "event_id": "e2", "timestamp": START + 7201}
    put(tmp_path, "interactions", events([other, first]))
    put(tmp_path, "interactions", events([again]))
    (tmp_path / "impressions" / "date=2026-03-31" / "hour=22" / ".part-b.parquet.tmp").write_text("x")
    (tmp_path / ".spool").mkdir()
    (tmp_path / "impressions" / "date=nonsense").mkdir()
    return tmp_path


def test_spans_are_open_at_their_start(log):
    assert read_impressions(str(log), START, START + 3600)["request_id"].to_pylist() == ["r1", "r0"]
    assert read_impressions(str(log), START - 1, START).num_rows == 1
    assert read_impressions(str(log), START + 4 * 3600, START + 9 * 3600).num_rows == 0
    everything = read_impressions(str(log), 0, START * 2)
    assert everything.num_rows == 7
    assert everything["feature_age"].null_count == everything.num_rows - 1
    assert everything["feature_price"].null_count == 1
    times = everything["timestamp"].to_pylist()
    assert times == sorted(times)


def test_columns_are_those_asked_for(log):
    found = read_impressions(str(log), 0, START * 2, ["feature_price", "user_id", "feature_none", "country"])
    assert found.column_names == ["feature_price", "user_id", "feature_none", "country"]
    assert found["feature_none"].null_count == found["country"].null_count == 7


def test_what_is_kept_is_chosen_part_by_part(log, bucket):
    url, sizes = f"s3://{bucket}/log", []
    RemoteFolder(url).upload(log, [str(path.relative_to(log)) for path in log.rglob("part-*.parquet")], "")

    def keep(part):
        sizes.append(part.num_rows)
        return part.filter(pc.equal(part["request_id"], "r1"))

    columns = ["request_id", "feature_age", "timestamp"]
    found = read_impressions(str(log), 0, START * 2, columns, keep)
    assert sizes == [2, 2, 2, 1]
    assert found["request_id"].to_pylist() == ["r1"] * 3
    assert found["feature_age"].null_count == 3  # no part that was kept has it
    assert read_impressions(url, 0, START * 2, columns, keep).equals(found)
    assert read_interactions(str(log), 0, START * 2, ["item_id"], lambda part: part.slice(0, 0)).num_rows == 0


def test_an_event_posted_twice_is_read_once(log):
    found = read_interactions(str(log), 0, START * 2)
    assert found.schema == INTERACTIONS_SCHEMA
    assert found["event_id"].to_pylist() == ["e1", "e2"]
    assert found["event_type"].to_pylist() == ["view", "view"]
    assert read_interactions(str(log), 0, START * 2, ["item_id"]).column_names == ["item_id"]


def test_the_latest_row_of_both_tables_counts(log):
    assert latest(str(log)) == START + 10_800
    put(log, "interactions", events([{"event_id": "e", "user_id": "u", "item_id": "i", "timestamp": START + 20_000}]))
    assert (latest(str(log)), latest_impression(str(log))) == (START + 20_000, START + 10_800)


def test_a_clock_that_was_years_ahead_moves_nothing(log):
    put(log, "impressions", impressions([time.time() + 50 * 365 * 86_400]))
    put(log, "interactions", events([{"event_id": "e", "user_id": "u", "item_id": "i", "timestamp": time.time() * 2}]))
    assert latest(str(log)) == latest_impression(str(log)) == START + 10_800


def test_a_remote_log_reads_like_a_local_one_and_is_copied_once(log, bucket, tmp_path_factory):
    url, scratch = f"s3://{bucket}/log", tmp_path_factory.mktemp("scratch")
    RemoteFolder(url).upload(log, [str(path.relative_to(log)) for path in log.rglob("part-*.parquet")], "")
    assert latest(url) == latest(str(log))
    assert read_impressions(url, START, START + 3600).equals(read_impressions(str(log), START, START + 3600))
    assert read_interactions(url, 0, START * 2).equals(read_interactions(str(log), 0, START * 2))
    assert local_log(url, scratch, START + 3600, START + 7199) == scratch
    assert len(list(scratch.rglob("part-*.parquet"))) == 1
    local_log(url, scratch)
    assert read_impressions(str(scratch), 0, START * 2).equals(read_impressions(str(log), 0, START * 2))
    assert local_log(str(log), scratch) == log


def test_what_is_not_there_is_empty(tmp_path):
    for log in (str(tmp_path), str(tmp_path / "none")):
        assert latest(log) is latest_impression(log) is None
        assert read_impressions(log, 0, START).num_rows == 0
        assert read_interactions(log, 0, START).schema == INTERACTIONS_SCHEMA


def test_a_damaged_part_is_left_out_and_named(log, capfd):
    before = read_impressions(str(log), 0, START * 2)
    assert capfd.readouterr().err == ""
    path = put(log, "impressions", impressions([START]), "part-c.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    assert read_impressions(str(log), 0, START * 2).equals(before)
    said = capfd.readouterr().err
    assert "the log of impressions has rows that are left out: the part cannot be read: " in said
    assert "hour=22/part-c.parquet (" in said
    assert latest(str(log)) is not None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every file")
def test_a_part_that_may_not_be_opened_is_an_error(log):
    put(log, "impressions", impressions([START]), "part-c.parquet").chmod(0)
    with pytest.raises(DatasetError, match=r"hour=22/part-c\.parquet of the log cannot be opened: Permission denied"):
        read_impressions(str(log), 0, START * 2)


@pytest.mark.parametrize(
    "change",
    [
        {"position": ["top"]},
        {"position": [2**40]},
        {"timestamp": [7]},
        {"feature_price": ["dear"]},
        {"request_id": [["r"]]},
        {"timestamp": ["2026-03-31T22:00:00Z"]},
    ],
)
def test_a_part_of_other_types_is_left_out(log, change, capfd):
    table = impressions([START])
    for name, values in change.items():
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    before = read_impressions(str(log), 0, START * 2)
    write_parquet(log / "impressions" / hour_folder(int(START // 3600)) / "part-c.parquet", table)
    assert read_impressions(str(log), 0, START * 2).equals(before)
    assert "the part cannot be read" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["user_id", "timestamp", "other"])
def test_a_part_with_two_columns_of_a_name_is_left_out(log, name, capfd):
    table = impressions([START])
    values = table["user_id" if name == "other" else name]
    before = read_impressions(str(log), 0, START * 2)
    for _ in range(2 if name == "other" else 1):
        table = table.append_column(name, values)
    write_parquet(log / "impressions" / hour_folder(int(START // 3600)) / "part-c.parquet", table)
    assert read_impressions(str(log), 0, START * 2).equals(before)
    assert latest(str(log)) is not None
    assert "part-c.parquet (it has several columns of a name)" in capfd.readouterr().err


def test_rows_without_usable_ids_are_left_out_and_counted(log, capfd):
    table = impressions([START + 1] * 5)
    ids = pa.array(["u", None, "a\nb", "x" * 257, "x" * 256])
    table = table.set_column(table.schema.get_field_index("user_id"), "user_id", ids)
    wide = {"session_id": pa.array(["s"] * 5), "device": pa.array(["phone", "p", "p", "p", "x" * 65])}
    for name, values in wide.items():
        table = table.append_column(name, values)
    before = read_impressions(str(log), 0, START * 2).num_rows
    put(log, "impressions", table, "part-c.parquet")
    found = read_impressions(str(log), 0, START * 2)
    assert found.num_rows == before + 2
    assert sorted(set(found["user_id"].to_pylist())) == ["u", "x" * 256]
    assert found["device"].drop_null().to_pylist() == ["phone"]
    said = capfd.readouterr().err
    assert "user_id has over 256 characters or a control character in 2; user_id is missing in 1" in said


def test_a_bucket_that_is_not_there_is_a_sentence(bucket):
    with pytest.raises(StorageError, match="create it, or name another"):
        read_impressions(f"s3://{bucket}-none/log", 0, START)


def test_linked_days_are_read_and_a_broken_link_is_no_empty_day(log, tmp_path):
    day = sorted((log / "impressions").iterdir())[0]
    before = read_impressions(str(log), 0.0, time.time() + 1e9)
    day.rename(tmp_path / "archived")
    day.symlink_to(tmp_path / "archived")
    assert read_impressions(str(log), 0.0, time.time() + 1e9) == before
    day.unlink()
    day.symlink_to(tmp_path / "gone")
    with pytest.raises(StorageError, match=f"{day.name} is a link to .*gone, which does not exist"):
        read_impressions(str(log), 0.0, time.time() + 1e9)
