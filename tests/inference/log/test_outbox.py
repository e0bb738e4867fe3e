"""Parts on their way to the log: bounded, set aside where damaged, and never in each other's way."""

from __future__ import annotations

import pytest

from feature_repo.errors import StorageError
from inference.log.events import events_table
from inference.log.impressions import impressions_table
from inference.log.outbox import Outbox
from inference.log.spool import Spool
from tests.e2e.servers import wait_for
from tests.inference import world
from tests.inference.log import logs


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
