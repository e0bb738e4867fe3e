"""Events are on the disk before they are answered, and each comes into the log once."""

from __future__ import annotations

import os
import time

import pytest

from feature_repo.errors import StorageError
from inference.log.journal import Journal
from tests.kit import served_log


def test_many_posts_share_a_sync(tmp_path, counted, monkeypatch):
    syncs: list[int] = []
    real = os.fdatasync

    def slow(descriptor: int) -> None:
        time.sleep(0.02)
        syncs.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    journal = Journal(tmp_path, "w", counted.metrics)
    futures = [journal.append(served_log.events(f"e{number}")) for number in range(200)]
    for future in futures:
        future.result(timeout=10)
    assert len(syncs) < 20
    journal.stop()
    assert counted.events("accepted") == 200


def test_repeated_ids_are_written_once(tmp_path, counted):
    journal = Journal(tmp_path, "w", counted.metrics)
    for names in (("e1", "e1", "e2"), ("e2", "e3")):
        journal.append(served_log.events(*names)).result(timeout=10)
    journal.stop()
    (path,) = journal.close_files()
    assert path.read_text().count("\n") == 3
    assert (counted.events("accepted"), counted.events("repeated")) == (3, 2)


def test_a_disk_that_fails_for_a_moment_loses_nothing_acknowledged(tmp_path, counted, monkeypatch):
    journal = Journal(tmp_path, "w", counted.metrics)
    journal.append(served_log.events("e1")).result(timeout=10)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(StorageError, match="No space left on device; post the events again"):
            journal.append(served_log.events("e2")).result(timeout=10)
    journal.append(served_log.events("e2", "e3")).result(timeout=10)
    journal.stop()
    assert len(journal.close_files()) == 2
    assert counted.events("failed") == 1
    with pytest.raises(StorageError, match="is stopping"):
        journal.append(served_log.events("e4")).result(timeout=10)


def test_a_damaged_line_is_counted_and_the_others_are_kept(log, counted, caplog):
    dead = log / ".spool" / "worker-dead"
    dead.mkdir(parents=True)
    lines = [event.model_dump_json(exclude_none=True) for event in served_log.events("e1", "e2")]
    (dead / "journal-dead-000001.jsonl").write_text(f"{lines[0]}\n\x00\x00{{\n[]\n{lines[1]}\n")
    writer = served_log.writer(log, log / ".spool", counted)
    writer.start()
    writer.stop()
    assert served_log.num_rows(log, "interactions") == 2
    assert counted.lost("interactions", "damaged") == 2
    assert "2 lines" in caplog.text


def test_a_journal_made_into_parts_twice_counts_once(log, counted):
    """The process died between the part and the removal of its journal."""
    writer = served_log.writer(log, log / ".spool", counted)
    writer.start()
    writer.accept(served_log.events("e1", "e2")).result(timeout=10)
    (journal,) = (log / ".spool").rglob("journal-*")
    kept = journal.read_bytes()
    writer.stop()
    dead = log / ".spool" / "worker-dead"
    dead.mkdir()
    (dead / journal.name).write_bytes(kept)
    again = served_log.writer(log, log / ".spool", served_log.Counted())
    again.start()
    again.stop()
    assert len(served_log.parts(log, "interactions")) == 1
    assert served_log.num_rows(log, "interactions") == 2


def test_a_journal_that_cannot_be_read_holds_up_no_other(log, counted, caplog):
    dead = log / ".spool" / "worker-dead"
    (dead / "journal-dead-000001.jsonl").mkdir(parents=True)  # what an unreadable one is to a user who is not root
    (event,) = served_log.events("e1")
    (dead / "journal-dead-000002.jsonl").write_text(event.model_dump_json(exclude_none=True) + "\n")
    writer = served_log.writer(log, log / ".spool", counted)
    writer.start()
    writer.stop()
    assert served_log.num_rows(log, "interactions") == 1
    assert [name.rsplit("/", 1)[-1] for name in served_log.leftovers(log / ".spool")][1:] == [
        "journal-dead-000001.jsonl"
    ]
    assert "logging fails" in caplog.text
