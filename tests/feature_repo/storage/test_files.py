"""Files are replaced whole or not at all; progress goes to stderr."""

import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo import progress
from feature_repo.dataset.tables import PreparedTables, unix_seconds
from feature_repo.errors import DatasetError
from feature_repo.storage.files import atomic_write, read_json, sha256, write_json, write_parquet


def _write_half(path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise ValueError("stopped half way")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"z": 1, "a": [None, "é"]})
    with pytest.raises(ValueError, match="stopped half way"):
        _write_half(path)
    assert read_json(path) == {"z": 1, "a": [None, "é"]}
    assert list(read_json(path)) == ["z", "a"]
    assert list(tmp_path.iterdir()) == [path]


def test_json_without_a_meaning_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "value.json", {"rate": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_parquet_has_microseconds_and_missing_folders_are_made(tmp_path: Path) -> None:
    times = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", tz="UTC"))
    path = tmp_path / "deep" / "table.parquet"
    write_parquet(path, pa.table({"at": times}))
    assert pq.read_schema(path).field("at").type == pa.timestamp("us", tz="UTC")


def test_a_checksum_is_that_of_the_content(tmp_path: Path) -> None:
    content = b"x" * (3 << 20)
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_directory_without_description_is_no_prepared_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"dataset\.json is missing"):
        PreparedTables.open(tmp_path)


def test_unix_seconds_keep_microseconds_and_null_is_nan() -> None:
    moment = datetime(2024, 2, 29, 12, 0, 0, 250_001, tzinfo=UTC)
    column = pa.chunked_array([pa.array([moment, None], pa.timestamp("us", tz="UTC"))])
    seconds = unix_seconds(column)
    assert seconds[0] == moment.timestamp()
    assert seconds[1] != seconds[1]


def test_progress_is_plain_lines_off_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    assert list(progress.track([1, 2], "counting")) == [1, 2]
    assert list(progress.track(iter([1]), "streaming")) == [1]
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert lines[0].startswith("counting: 1 of 2 in 0 s, about")
    assert lines[2] == "streaming: 1 in 0 s"


def test_work_without_steps_shows_that_it_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
    with progress.waiting("sorting", lambda: 0.5):
        time.sleep(0.1)
    lines = capsys.readouterr().err.splitlines()
    assert set(lines) == {"sorting: 50% in 0 s"}
    time.sleep(0.05)
    assert capsys.readouterr().err == ""
