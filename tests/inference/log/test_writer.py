"""What is recorded and accepted comes into the log, whole and once, and a log that cannot be written hurts nobody."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import numpy as np
import pytest

from feature_repo.errors import StorageError
from inference.log.impressions import impressions_table
from inference.log.reader import read_impressions, read_interactions
from tests.kit import editions, served_log, world
from tests.kit.servers import wait_for


def test_recorded_slates_and_accepted_events_are_in_the_log_at_stop(log, counted):
    writer = served_log.writer(log, log / ".spool", counted)
    writer.start()
    made, artifacts = served_log.slates(30)
    writer.record(made[:10], artifacts)
    writer.record(made[10:], artifacts)
    writer.accept(served_log.events("e1", "e2")).result(timeout=10)
    assert counted.waiting() == 600
    writer.stop()
    found = read_impressions(str(log), 0, world.NOW)
    expected = impressions_table(made, artifacts).sort_by([("request_id", "ascending"), ("position", "ascending")])
    assert found.sort_by([("request_id", "ascending"), ("position", "ascending")]).equals(expected)
    assert len(served_log.parts(log, "impressions")) == 1  # one part a flush, worker, hour and feature set
    assert read_interactions(str(log), 0, world.NOW + 1)["event_id"].to_pylist() == ["e1", "e2"]
    assert (counted.rows("impressions"), counted.rows("interactions"), counted.waiting()) == (600, 2, 0)
    assert served_log.leftovers(log / ".spool") == []


def test_rows_lie_in_the_folders_of_their_hours(log, counted):
    writer = served_log.writer(log, log / ".spool", counted)
    writer.start()
    for hours in range(3):
        writer.record(*served_log.slates(2, 10 * hours, world.NOW + 3600 * hours))
    writer.stop()
    folders = [path.parent.relative_to(log / "impressions").as_posix() for path in served_log.parts(log, "impressions")]
    assert folders == [f"date=2023-11-{day}/hour={hour}" for day, hour in (("14", "22"), ("14", "23"), ("15", "00"))]
    assert served_log.num_rows(log, "impressions") == 120


def test_flushes_come_by_themselves(log, counted):
    writer = served_log.writer(log, log / ".spool", counted, flush_seconds=0.05)
    writer.start()
    for start in (0, 5):
        writer.record(*served_log.slates(5, start))
        wait_for(lambda: counted.rows("impressions") == 20 * (start + 5), "no flush")  # noqa: B023
    assert len(served_log.parts(log, "impressions")) >= 2
    writer.stop()


def test_two_bundles_of_one_feature_set_share_a_part_and_keep_their_items(log, counted):
    writer = served_log.writer(log, log / ".spool", counted)
    writer.start()
    made, artifacts = served_log.slates(2)
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
    assert len(served_log.parts(log, "impressions")) == 1


def test_a_full_queue_loses_and_counts(log, counted):
    writer = served_log.writer(log, log / ".spool", counted, max_slates=10)
    made, artifacts = served_log.slates(25)  # not started: nothing empties the queue
    for slate in made:
        writer.record([slate], artifacts)
    assert counted.lost("impressions", "queue_full") == 15 * 20
    assert counted.waiting() == 10 * 20
    writer.start()
    writer.stop()
    assert served_log.num_rows(log, "impressions") == counted.rows("impressions") == 10 * 20


def test_recording_costs_microseconds(log, counted):
    writer = served_log.writer(log, log / ".spool", counted, max_slates=100_000)
    made, artifacts = served_log.slates(1)
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
    writer = served_log.writer(tmp_path / "log", spool, counted, flush_seconds=0.02, max_slates=20)
    with caplog.at_level(logging.WARNING, logger="kuberec"):
        writer.start()
        writer.record(*served_log.slates(12))
        accepted = writer.accept(served_log.events("e1"))
        if place == "spool":
            with pytest.raises(StorageError, match="post the events again"):
                accepted.result(timeout=10)
        else:
            accepted.result(timeout=10)
        wait_for(lambda: len(caplog.records) > 0, "nobody says that the log cannot be written")
        time.sleep(0.2)
        writer.record(*served_log.slates(12, 12))
        if place == "spool":
            assert counted.lost("impressions", "queue_full") == 4 * 20
        blocked.unlink()
        total = (20 if place == "spool" else 24) * 20
        wait_for(lambda: counted.rows("impressions") == total, "the rows do not come")
        writer.accept(served_log.events("e2")).result(timeout=10)
    writer.stop()
    said = [record.getMessage() for record in caplog.records]
    assert [("tried again" in line, "works again" in line) for line in said] == [(True, False), (False, True)], said
    assert str(blocked) in said[0]
    assert served_log.num_rows(tmp_path / "log", "impressions") == total
    assert served_log.num_rows(tmp_path / "log", "interactions") == (1 if place == "spool" else 2)


def test_slates_that_cannot_be_written_cost_no_others(log, counted, caplog):
    writer = served_log.writer(log, log / ".spool", counted)
    writer.start()
    writer.record(*served_log.slates(2, time=4e11))  # no calendar has such a year
    made, artifacts = served_log.slates(3)
    writer.record(made, replace(artifacts, feature_set=editions.edition_features(1)))
    writer.stop()
    assert served_log.num_rows(log, "impressions") == 60
    assert counted.lost("impressions", "error") == 40
    assert "logging failed" in caplog.text


def test_the_end_waits_only_so_long(log, counted, monkeypatch):
    monkeypatch.setattr("inference.log.writer.STOP_SECONDS", 0.3)
    writer = served_log.writer(log, log / ".spool", counted)
    writer.start()
    writer.record(*served_log.slates(2))
    assert writer._opened is not None
    with writer._opened.outbox._lock:  # both threads hang, as on a disk that does
        start = time.monotonic()
        writer.stop()
        assert time.monotonic() - start < 0.5


def test_a_full_disk_below_spool_and_log_loses_nothing_acknowledged(disk, counted, caplog):
    log = disk.path / "log"
    writer = served_log.writer(log, disk.path / "spool", counted, flush_seconds=0.1)
    writer.start()
    acknowledged: list[str] = []
    writer.accept(served_log.events("first")).result(timeout=10)
    disk.leave(0)
    refused = None
    while refused is None:
        posted = writer.accept(served_log.events(f"e{len(acknowledged)}", session_id="x" * 60))
        refused = posted.exception(timeout=10)
        if refused is None:
            acknowledged.append(f"e{len(acknowledged)}")
    assert isinstance(refused, StorageError)
    assert "No space left on device; post the events again" in str(refused)
    writer.record(*served_log.slates(30))
    wait_for(lambda: "impressions" in caplog.text or "journal" in caplog.text, "no line reports the disk", 10)
    assert counted.waiting() >= 600
    assert counted.events("failed") == 1
    disk.make_room()
    writer.accept(served_log.events(f"e{len(acknowledged)}")).result(timeout=10)  # posted again
    wait_for(lambda: counted.rows("impressions") == 600, "the slates are not delivered", 10)
    writer.stop()
    found = read_interactions(str(log), 0, world.NOW + 1)["event_id"].to_pylist()
    assert sorted(found) == sorted(["first", *acknowledged, f"e{len(acknowledged)}"])
    assert served_log.num_rows(log, "impressions") == 600
    assert (counted.lost("impressions", "queue_full"), counted.waiting()) == (0, 0)
    assert served_log.leftovers(disk.path / "spool") == []
    assert "Traceback" not in caplog.text
    assert "logging works again" in caplog.text
