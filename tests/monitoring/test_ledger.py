"""The ledger: what it answers, that it is replaced as a whole, and that it is the same in a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_repo.errors import StorageError
from monitoring.ledger import LEDGER_FILE, Ledger, Retraining, read_ledger, retraining_key, write_ledger
from monitoring.state import StateFolder


def entry(key: str, **values) -> Retraining:
    given = {"bundle": "b1", "window_start": 1.0, "window_end": 2.0, "cause": "price", "started_at": 10.0, **values}
    return Retraining(key=key, **given)


def test_what_it_answers() -> None:
    lost = entry("a", outcome="failed", lost=True)
    again = entry("a", outcome="released", version="b2", finished_at=30.0)
    running = entry("c")
    ledger = Ledger().added(lost).added(again).added(entry("b", outcome="refused")).added(running)
    assert ledger.running() == ledger.latest() == running
    assert ledger.answering("a") == again
    assert Ledger(retrainings=(lost,)).answering("a") is None
    assert Ledger(retrainings=(again, lost)).last_try() == again
    assert ledger.last_of("released") == again
    assert ledger.last_of("failed") == lost
    assert Ledger().latest() is Ledger().running() is Ledger().last_try() is None


def test_an_end_replaces_the_latest_entry_of_its_key() -> None:
    lost = entry("a", outcome="failed", lost=True)
    ended = entry("a", outcome="refused", sentence="no better")
    ledger = Ledger().added(lost).added(entry("a")).added(entry("b"))
    assert ledger.replaced(ended).retrainings == (lost, ended, entry("b"))


def test_a_key_is_of_the_bundle_and_the_windows_start() -> None:
    assert retraining_key("20260101T000000-aa", 1_767_225_600.125) == "20260101T000000-aa-since-20260101T000000125"
    assert retraining_key("b1", 1.0) != retraining_key("b2", 1.0)
    assert retraining_key("b1", 1.0) != retraining_key("b1", 1.5)


def check_round_trip(folder: StateFolder) -> None:
    assert read_ledger(folder) == Ledger()
    ledger = Ledger().added(entry("a", outcome="failed", sentence="„quoted“"))
    write_ledger(folder, ledger)
    assert read_ledger(folder) == ledger
    folder.write(LEDGER_FILE, b'{"retrainings": [{"key": 1}]}')
    with pytest.raises(StorageError, match=r"monitoring/ledger.json is not a ledger: restore it"):
        read_ledger(folder)


def test_in_a_directory(tmp_path: Path) -> None:
    check_round_trip(StateFolder(str(tmp_path / "store")))
    assert [path.name for path in (tmp_path / "store" / "monitoring").iterdir()] == [LEDGER_FILE]


def test_in_a_bucket(bucket: str) -> None:
    check_round_trip(StateFolder(f"s3://{bucket}/stores/shop"))


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "monitoring").write_text("a file")
    folder = StateFolder(str(tmp_path))
    with pytest.raises(StorageError, match=r"monitoring/ledger.json cannot be read \(Not a directory\)"):
        read_ledger(folder)
    with pytest.raises(StorageError, match=r"monitoring/ledger.json cannot be written \("):
        write_ledger(folder, Ledger())
