"""Parts on their way to the log: bounded, set aside where damaged, and never in each other's way."""

from __future__ import annotations

import pytest

from feature_repo.errors import StorageError
from inference.log.impressions import impressions_table
from inference.log.interactions import events_table
from inference.log.outbox import Outbox
from inference.log.spool import Spool
from tests.kit import served_log, world
from tests.kit.servers import wait_for


def test_undelivered_impressions_are_bounded_and_events_are_not_given_up(tmp_path, counted):
    (tmp_path / "log").write_text("in the way")
    spool = Spool.open(tmp_path / "spool")
    outbox = Outbox(spool.directory, str(tmp_path / "log"), counted.metrics, max_bytes=60_000)
    made, artifacts = served_log.slates(40)
    outbox.put(
        "interactions", events_table([event.model_dump() for event in served_log.events("e1")]), "part-e.parquet"
    )
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
    assert served_log.num_rows(tmp_path / "log", "impressions") == 8 * 800 - lost
    assert served_log.num_rows(tmp_path / "log", "interactions") == 1


def test_a_spool_that_is_full_takes_no_events(tmp_path, counted):
    (tmp_path / "log").write_text("in the way")
    writer = served_log.writer(tmp_path / "log", tmp_path / "spool", counted)
    writer.start()
    assert writer._opened is not None
    outbox = writer._opened.outbox
    outbox._max_bytes = 1
    writer.accept(served_log.events("e1")).result(timeout=10)
    writer._flush.set()
    wait_for(lambda: outbox.full, "the event does not come into the outbox")
    with pytest.raises(StorageError, match=r"is full, since .*log cannot be written"):
        writer.accept(served_log.events("e2")).result(timeout=10)
    assert counted.events("failed") == 1
    writer.stop()


def test_a_damaged_part_is_set_aside_and_the_others_arrive(log, counted, caplog):
    one = served_log.writer(log, log / ".spool", served_log.Counted())
    log.mkdir()
    (log / "impressions").write_text("in the way")
    one.start()
    one.record(*served_log.slates(3))
    one.record(*served_log.slates(3, 3, world.NOW + 3600))
    one.stop()
    (log / "impressions").unlink()
    damaged, _ = sorted((log / ".spool").rglob("outbox-*"))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    two = served_log.writer(log, log / ".spool", counted)
    two.start()
    two.stop()
    assert served_log.num_rows(log, "impressions") == 60
    assert served_log.leftovers(log / ".spool") == [f"damaged-{damaged.name}"]
    assert "set aside as" in caplog.text
    assert counted.lost("impressions", "damaged") == 1  # how many rows it had cannot be told


def test_a_part_that_somebody_removed_is_counted_and_holds_up_no_other(tmp_path, counted):
    spool = Spool.open(tmp_path / "spool")
    outbox = Outbox(spool.directory, str(tmp_path / "log"), counted.metrics)
    made, artifacts = served_log.slates(2)
    for number in range(3):
        outbox.put("impressions", impressions_table(made, artifacts), f"part-{number}.parquet")
    next(spool.directory.glob("outbox-*part-1*")).unlink()
    outbox.deliver()
    assert [path.name for path in served_log.parts(tmp_path / "log", "impressions")] == [
        "part-0.parquet",
        "part-2.parquet",
    ]
    assert (counted.rows("impressions"), counted.lost("impressions", "damaged"), outbox.num_rows) == (80, 40, 0)


def test_what_waits_is_counted_once(tmp_path, counted):
    """A journal that is made into parts twice replaces them; requests ask whether the outbox is full."""
    spool = Spool.open(tmp_path / "spool")
    outbox = Outbox(spool.directory, str(tmp_path / "log"), counted.metrics, max_bytes=1)
    rows = [event.model_dump() for event in served_log.events("e1", "e2")]
    assert (outbox.num_rows, outbox.full) == (0, False)
    for number in (1, 2):
        outbox.put("interactions", events_table(rows[:number]), "part-e.parquet")
        assert (outbox.num_rows, outbox.full) == (number, True)
    assert Outbox(spool.directory, str(tmp_path / "log"), counted.metrics).num_rows == 2
    outbox.deliver()
    assert (outbox.num_rows, outbox.full) == (0, False)


def test_an_outbox_that_cannot_be_opened_is_opened_later_with_all_that_waited(log, counted):
    dead = log / ".spool" / "worker-dead"
    dead.mkdir(parents=True)
    (dead / "outbox-impressions@damaged").write_text("no Parquet")
    blocked = log / ".spool" / "damaged-outbox-impressions@damaged"
    blocked.mkdir()
    writer = served_log.writer(log, log / ".spool", counted)
    writer.start()
    assert writer._opened is None
    assert len(list((log / ".spool").glob("worker-*"))) == 1
    blocked.rmdir()
    writer._flush.set()
    wait_for(lambda: writer._opened is not None, "the spool is not opened")
    writer.stop()
    assert served_log.leftovers(log / ".spool") == [blocked.name]
