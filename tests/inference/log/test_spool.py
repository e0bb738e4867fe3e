"""What a process leaves in the spool is taken over by the next one, and what a living one has is not."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from feature_repo.errors import StorageError
from inference.log.reader import read_interactions
from inference.log.spool import Spool
from tests.kit import served_log, world
from tests.kit.servers import wait_for

KILLED = """
import sys, time
for package in ("torch", "kfp", "lightgbm", "duckdb", "ibis"):  # the image of the transformer has none of them
    sys.modules[package] = None
from pathlib import Path
from tests.kit import served_log
log = Path(sys.argv[1])
writer = served_log.writer(log, log / ".spool", served_log.Counted(), flush_seconds=600.0)
writer.start()
writer.accept(served_log.events("early")).result()
writer.record(*served_log.slates(3))
writer._flush.set()
while not served_log.parts(log, "interactions"):
    time.sleep(0.01)
writer.record(*served_log.slates(4, 3))
for number in range(20):
    writer.accept(served_log.events(f"e{number}", f"f{number}")).result()
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
    assert len(served_log.leftovers(log / ".spool")) == 2  # a folder with a journal
    (journal,) = (log / ".spool").rglob("journal-*")
    with journal.open("ab") as file:
        file.write(b'{"event_id": "half')  # it may have died within a write
    writer = served_log.writer(log, log / ".spool", counted)
    writer.start()
    writer.stop()
    names = set(read_interactions(str(log), 0, world.NOW + 1)["event_id"].to_pylist())
    assert names == {"early"} | {f"{letter}{number}" for letter in "ef" for number in range(20)}
    assert counted.lost("interactions", "damaged") == 0
    assert served_log.num_rows(log, "impressions") == 3 * 20
    assert served_log.leftovers(log / ".spool") == []


def test_a_living_process_keeps_its_journal(log, counted):
    one = served_log.writer(log, log / ".spool", counted)
    one.start()
    one.accept(served_log.events("e1")).result(timeout=10)
    other = served_log.writer(log, log / ".spool", served_log.Counted())
    other.start()
    other.stop()
    assert served_log.num_rows(log, "interactions") == 0
    one.accept(served_log.events("e2")).result(timeout=10)
    one.stop()
    assert served_log.num_rows(log, "interactions") == 2


def test_a_process_that_hangs_on_the_spool_is_waited_for_only_so_long(tmp_path, counted, monkeypatch, caplog):
    monkeypatch.setattr("inference.log.spool.WAIT_SECONDS", 0.05)
    writer = served_log.writer(tmp_path / "log", tmp_path / "spool", counted, flush_seconds=0.05)
    (tmp_path / "spool").mkdir()
    with (tmp_path / "spool" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writer.start()
        assert "another process has held" in caplog.text
        with pytest.raises(StorageError, match="cannot be written"):
            writer.accept(served_log.events("e1")).result(timeout=10)
    wait_for(lambda: writer._opened is not None, "the spool is not opened once it is free")
    writer.accept(served_log.events("e1")).result(timeout=10)
    writer.stop()
    assert served_log.num_rows(tmp_path / "log", "interactions") == 1


def test_parts_that_waited_are_taken_over(tmp_path, counted):
    (tmp_path / "log").write_text("in the way")
    one = served_log.writer(tmp_path / "log", tmp_path / "spool", served_log.Counted())
    one.start()
    one.record(*served_log.slates(3))
    one.accept(served_log.events("e1")).result(timeout=10)
    one.stop()
    assert len([name for name in served_log.leftovers(tmp_path / "spool") if "outbox-" in name]) == 2
    (tmp_path / "log").unlink()
    two = served_log.writer(tmp_path / "log", tmp_path / "spool", counted)
    two.start()
    two.stop()
    assert served_log.num_rows(tmp_path / "log", "impressions") == counted.rows("impressions") == 60
    assert served_log.num_rows(tmp_path / "log", "interactions") == 1


def test_a_folder_that_cannot_be_taken_over_keeps_nobody_from_logging(log, counted, caplog):
    """Such as another user's; here a folder stands where its lock has to be."""
    dead = log / ".spool" / "worker-dead"
    (dead / "lock").mkdir(parents=True)
    writer = served_log.writer(log, log / ".spool", counted)
    writer.start()
    writer.accept(served_log.events("e1")).result(timeout=10)
    writer.stop()
    assert served_log.num_rows(log, "interactions") == 1
    assert f"{dead} cannot be taken over" in caplog.text
    assert served_log.leftovers(log / ".spool") == ["worker-dead"]


def test_a_try_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    """The spool is tried at every flush: folders would fill the disk, and open files end the process."""
    real = os.open

    def full(path, flags, *mode, **more):
        if str(path).endswith("/lock") and "worker-" in str(path):
            raise OSError(28, "No space left on device")
        return real(path, flags, *mode, **more)

    monkeypatch.setattr(os, "open", full)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(StorageError, match="No space left"):
            Spool.open(tmp_path / "spool")
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["lock"]
    assert len(os.listdir("/proc/self/fd")) == before
