"""What is recorded and accepted comes into the log, whole and once, and a log that cannot be written hurts nobody."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import StorageError
from inference.log.events import events_table
from inference.log.impressions import impressions_table
from inference.log.journal import Journal
from inference.log.outbox import Outbox
from inference.log.reader import read_impressions, read_interactions
from inference.log.spool import Spool
from tests.e2e.servers import wait_for
from tests.inference import world
from tests.inference.log import logs


@pytest.fixture
def counted():
    return logs.Counted()


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def test_recorded_slates_and_accepted_events_are_in_the_log_at_stop(log, counted):
    writer = logs.writer(log, log / ".spool", counted)
    writer.start()
    made, artifacts = logs.slates(30)
    writer.record(made[:10], artifacts)
    writer.record(made[10:], artifacts)
    writer.accept(logs.events("e1", "e2")).result(timeout=10)
    assert counted.waiting() == 600
    writer.stop()
    found = read_impressions(str(log), 0, world.NOW)
    expected = impressions_table(made, artifacts).sort_by([("request_id", "ascending"), ("position", "ascending")])
    assert found.sort_by([("request_id", "ascending"), ("position", "ascending")]).equals(expected)
    assert len(logs.parts(log, "impressions")) == 1  # one part a flush, worker, hour and feature set
    assert read_interactions(str(log), 0, world.NOW + 1)["event_id"].to_pylist() == ["e1", "e2"]
    assert (counted.rows("impressions"), counted.rows("interactions"), counted.waiting()) == (600, 2, 0)
    assert logs.leftovers(log / ".spool") == []


def test_rows_lie_in_the_folders_of_their_hours(log, counted):
    writer = logs.writer(log, log / ".spool", counted)
    writer.start()
    for hours in range(3):
        writer.record(*logs.slates(2, 10 * hours, world.NOW + 3600 * hours))
    writer.stop()
    folders = [path.parent.relative_to(log / "impressions").as_posix() for path in logs.parts(log, "impressions")]
    assert folders == [f"date=2023-11-{day}/hour={hour}" for day, hour in (("14", "22"), ("14", "23"), ("15", "00"))]
    assert logs.num_rows(log, "impressions") == 120


def test_flushes_come_by_themselves(log, counted):
    writer = logs.writer(log, log / ".spool", counted, flush_seconds=0.05)
    writer.start()
    for start in (0, 5):
        writer.record(*logs.slates(5, start))
        wait_for(lambda: counted.rows("impressions") == 20 * (start + 5), "no flush")  # noqa: B023
    assert len(logs.parts(log, "impressions")) >= 2
    writer.stop()


def test_two_bundles_of_one_feature_set_share_a_part_and_keep_their_items(log, counted):
    writer = logs.writer(log, log / ".spool", counted)
    writer.start()
    made, artifacts = logs.slates(2)
    turned = world.artifacts(
        version="v2", items=world.items(item_ids=np.array([f"j{n:04d}" for n in range(300)], object))
    )
    other = [
        type(slate)(**{name: getattr(slate, name) for name in slate.__slots__} | {"bundle_version": "v2"})
        for slate in made
    ]
    writer.record(made, artifacts)
    writer.record(other, turned)
    writer.stop()
    found = read_impressions(str(log), 0, world.NOW, ["item_id", "bundle_version"])
    firsts = {(row["bundle_version"], row["item_id"][0]) for row in found.to_pylist()}
    assert firsts == {("v1", "i"), ("v2", "j")}
    assert len(logs.parts(log, "impressions")) == 1


def test_a_full_queue_loses_and_counts(log, counted):
    writer = logs.writer(log, log / ".spool", counted, max_slates=10)
    made, artifacts = logs.slates(25)  # not started: nothing empties the queue
    for slate in made:
        writer.record([slate], artifacts)
    assert counted.lost("impressions", "queue_full") == 15 * 20
    assert counted.waiting() == 10 * 20
    writer.start()
    writer.stop()
    assert logs.num_rows(log, "impressions") == counted.rows("impressions") == 10 * 20


def test_recording_costs_microseconds(log, counted):
    writer = logs.writer(log, log / ".spool", counted, max_slates=100_000)
    made, artifacts = logs.slates(1)
    start = time.perf_counter()
    for _ in range(5000):
        writer.record(made, artifacts)
    assert (time.perf_counter() - start) / 5000 < 200e-6


@pytest.mark.parametrize("place", ["log", "spool"])
def test_what_cannot_be_written_waits_is_said_once_and_comes_later(tmp_path, counted, caplog, place):
    """A file stands where a folder has to be: what a closed folder is to a user who is not root."""
    spool = tmp_path / "spool"
    blocked = tmp_path / place
    blocked.write_text("in the way")
    writer = logs.writer(tmp_path / "log", spool, counted, flush_seconds=0.02, max_slates=20)
    with caplog.at_level(logging.WARNING, logger="kuberec"):
        writer.start()
        writer.record(*logs.slates(12))
        accepted = writer.accept(logs.events("e1"))
        if place == "spool":
            with pytest.raises(StorageError, match="post the events again"):
                accepted.result(timeout=10)
        else:
            accepted.result(timeout=10)
        wait_for(lambda: len(caplog.records) > 0, "nobody says that the log cannot be written")
        time.sleep(0.2)
        writer.record(*logs.slates(12, 12))
        if place == "spool":
            assert counted.lost("impressions", "queue_full") == 4 * 20
        blocked.unlink()
        total = (20 if place == "spool" else 24) * 20
        wait_for(lambda: counted.rows("impressions") == total, "the rows do not come")
        writer.accept(logs.events("e2")).result(timeout=10)
    writer.stop()
    said = [record.getMessage() for record in caplog.records]
    assert [("tried again" in line, "works again" in line) for line in said] == [(True, False), (False, True)], said
    assert str(blocked) in said[0]
    assert logs.num_rows(tmp_path / "log", "impressions") == total
    assert logs.num_rows(tmp_path / "log", "interactions") == (1 if place == "spool" else 2)


def test_undelivered_impressions_are_bounded_and_events_are_not_given_up(tmp_path, counted):
    (tmp_path / "log").write_text("in the way")
    spool = Spool.open(tmp_path / "spool")
    outbox = Outbox(spool.directory, str(tmp_path / "log"), counted.metrics, max_bytes=60_000)
    made, artifacts = logs.slates(40)
    outbox.put("interactions", events_table([event.model_dump() for event in logs.events("e1")]), "part-e.parquet")
    for number in range(8):
        outbox.put("impressions", impressions_table(made, artifacts), f"part-{number}.parquet")
    assert outbox.full
    with pytest.raises(StorageError, match="cannot be written"):
        outbox.deliver()
    outbox.give_up()
    assert not outbox.full
    lost = counted.lost("impressions", "spool_full")
    assert 0 < lost < 8 * 800
    left = sorted(path.name.rsplit("@", 1)[1] for path in spool.directory.glob("outbox-*"))
    assert left[-1] == "part-e.parquet"
    assert "part-0.parquet" not in left  # the oldest go first
    assert "part-7.parquet" in left
    (tmp_path / "log").unlink()
    outbox.deliver()
    assert logs.num_rows(tmp_path / "log", "impressions") == 8 * 800 - lost
    assert logs.num_rows(tmp_path / "log", "interactions") == 1


def test_a_spool_that_is_full_takes_no_events(tmp_path, counted):
    (tmp_path / "log").write_text("in the way")
    writer = logs.writer(tmp_path / "log", tmp_path / "spool", counted)
    writer.start()
    assert writer._opened is not None
    outbox = writer._opened.outbox
    outbox._max_bytes = 1
    writer.accept(logs.events("e1")).result(timeout=10)
    writer._flush.set()
    wait_for(lambda: outbox.full, "the event does not come into the outbox")
    with pytest.raises(StorageError, match=r"is full, since .*log cannot be written"):
        writer.accept(logs.events("e2")).result(timeout=10)
    assert counted.events("failed") == 1
    writer.stop()


KILLED = """
import sys, time
for package in ("torch", "kfp", "lightgbm", "duckdb", "ibis"):  # the image of the transformer has none of them
    sys.modules[package] = None
from pathlib import Path
from tests.inference.log import logs
log = Path(sys.argv[1])
writer = logs.writer(log, log / ".spool", logs.Counted(), flush_seconds=600.0)
writer.start()
writer.accept(logs.events("early")).result()
writer.record(*logs.slates(3))
writer._flush.set()
while not logs.parts(log, "interactions"):
    time.sleep(0.01)
writer.record(*logs.slates(4, 3))
for number in range(20):
    writer.accept(logs.events(f"e{number}", f"f{number}")).result()
    print(number, flush=True)
time.sleep(600)
"""


def killed(log: Path) -> None:
    """A writer's process, ended by SIGKILL after 41 acknowledged events and one flush of 3 slates out of 7."""
    with subprocess.Popen([sys.executable, "-c", KILLED, str(log)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "19\n" in process.stdout
        finally:
            process.kill()


def test_a_killed_process_loses_no_acknowledged_event(log, counted):
    killed(log)
    assert len(logs.leftovers(log / ".spool")) == 2  # a folder with a journal
    (journal,) = (log / ".spool").rglob("journal-*")
    with journal.open("ab") as file:
        file.write(b'{"event_id": "half')  # it may have died within a write
    writer = logs.writer(log, log / ".spool", counted)
    writer.start()
    writer.stop()
    names = set(read_interactions(str(log), 0, world.NOW + 1)["event_id"].to_pylist())
    assert names == {"early"} | {f"{letter}{number}" for letter in "ef" for number in range(20)}
    assert counted.lost("interactions", "damaged") == 0
    assert logs.num_rows(log, "impressions") == 3 * 20
    assert logs.leftovers(log / ".spool") == []


def test_a_living_process_keeps_its_journal(log, counted):
    one = logs.writer(log, log / ".spool", counted)
    one.start()
    one.accept(logs.events("e1")).result(timeout=10)
    other = logs.writer(log, log / ".spool", logs.Counted())
    other.start()
    other.stop()
    assert logs.num_rows(log, "interactions") == 0
    one.accept(logs.events("e2")).result(timeout=10)
    one.stop()
    assert logs.num_rows(log, "interactions") == 2


def test_a_process_that_hangs_on_the_spool_is_waited_for_only_so_long(tmp_path, counted, monkeypatch, caplog):
    monkeypatch.setattr("inference.log.spool.WAIT_SECONDS", 0.05)
    writer = logs.writer(tmp_path / "log", tmp_path / "spool", counted, flush_seconds=0.05)
    (tmp_path / "spool").mkdir()
    with (tmp_path / "spool" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writer.start()
        assert "another process has held" in caplog.text
        with pytest.raises(StorageError, match="cannot be written"):
            writer.accept(logs.events("e1")).result(timeout=10)
    wait_for(lambda: writer._opened is not None, "the spool is not opened once it is free")
    writer.accept(logs.events("e1")).result(timeout=10)
    writer.stop()
    assert logs.num_rows(tmp_path / "log", "interactions") == 1


def test_parts_that_waited_are_taken_over(tmp_path, counted):
    (tmp_path / "log").write_text("in the way")
    one = logs.writer(tmp_path / "log", tmp_path / "spool", logs.Counted())
    one.start()
    one.record(*logs.slates(3))
    one.accept(logs.events("e1")).result(timeout=10)
    one.stop()
    assert len([name for name in logs.leftovers(tmp_path / "spool") if "outbox-" in name]) == 2
    (tmp_path / "log").unlink()
    two = logs.writer(tmp_path / "log", tmp_path / "spool", counted)
    two.start()
    two.stop()
    assert logs.num_rows(tmp_path / "log", "impressions") == counted.rows("impressions") == 60
    assert logs.num_rows(tmp_path / "log", "interactions") == 1


def test_a_damaged_part_is_set_aside_and_the_others_arrive(log, counted, caplog):
    one = logs.writer(log, log / ".spool", logs.Counted())
    log.mkdir()
    (log / "impressions").write_text("in the way")
    one.start()
    one.record(*logs.slates(3))
    one.record(*logs.slates(3, 3, world.NOW + 3600))
    one.stop()
    (log / "impressions").unlink()
    damaged, _ = sorted((log / ".spool").rglob("outbox-*"))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    two = logs.writer(log, log / ".spool", counted)
    two.start()
    two.stop()
    assert logs.num_rows(log, "impressions") == 60
    assert logs.leftovers(log / ".spool") == [f"damaged-{damaged.name}"]
    assert "set aside as" in caplog.text


def test_a_journal_made_into_parts_twice_counts_once(log, counted):
    """The process died between the part and the removal of its journal."""
    writer = logs.writer(log, log / ".spool", counted)
    writer.start()
    writer.accept(logs.events("e1", "e2")).result(timeout=10)
    (journal,) = (log / ".spool").rglob("journal-*")
    kept = journal.read_bytes()
    writer.stop()
    dead = log / ".spool" / "worker-dead"
    dead.mkdir()
    (dead / journal.name).write_bytes(kept)
    again = logs.writer(log, log / ".spool", logs.Counted())
    again.start()
    again.stop()
    assert len(logs.parts(log, "interactions")) == 1
    assert logs.num_rows(log, "interactions") == 2


def test_many_posts_share_a_sync(tmp_path, counted, monkeypatch):
    syncs: list[int] = []
    real = os.fdatasync

    def slow(descriptor: int) -> None:
        time.sleep(0.02)
        syncs.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    journal = Journal(tmp_path, "w", counted.metrics)
    futures = [journal.append(logs.events(f"e{number}")) for number in range(200)]
    for future in futures:
        future.result(timeout=10)
    assert len(syncs) < 20
    journal.stop()
    assert counted.events("accepted") == 200


def test_repeated_ids_are_written_once(tmp_path, counted):
    journal = Journal(tmp_path, "w", counted.metrics)
    for names in (("e1", "e1", "e2"), ("e2", "e3")):
        journal.append(logs.events(*names)).result(timeout=10)
    journal.stop()
    (path,) = journal.close_files()
    assert path.read_text().count("\n") == 3
    assert (counted.events("accepted"), counted.events("repeated")) == (3, 2)


def test_a_disk_that_fails_for_a_moment_loses_nothing_acknowledged(tmp_path, counted, monkeypatch):
    journal = Journal(tmp_path, "w", counted.metrics)
    journal.append(logs.events("e1")).result(timeout=10)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(StorageError, match="No space left on device; post the events again"):
            journal.append(logs.events("e2")).result(timeout=10)
    journal.append(logs.events("e2", "e3")).result(timeout=10)
    journal.stop()
    assert len(journal.close_files()) == 2
    assert counted.events("failed") == 1
    with pytest.raises(StorageError, match="is stopping"):
        journal.append(logs.events("e4")).result(timeout=10)


def test_a_damaged_line_is_counted_and_the_others_are_kept(log, counted, caplog):
    dead = log / ".spool" / "worker-dead"
    dead.mkdir(parents=True)
    lines = [event.model_dump_json(exclude_none=True) for event in logs.events("e1", "e2")]
    (dead / "journal-dead-000001.jsonl").write_text(f"{lines[0]}\n\x00\x00{{\n[]\n{lines[1]}\n")
    writer = logs.writer(log, log / ".spool", counted)
    writer.start()
    writer.stop()
    assert logs.num_rows(log, "interactions") == 2
    assert counted.lost("interactions", "damaged") == 2
    assert "2 lines" in caplog.text
