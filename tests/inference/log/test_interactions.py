"""Events of a journal become rows of the log; an event of other types never stops the others."""

from __future__ import annotations

import json
from typing import Any

from inference.log.interactions import events_table, sound_events
from tests.kit import served_log

GOOD: dict[str, Any] = {
    "event_id": "e1",
    "user_id": "u1",
    "item_id": "i1",
    "event_type": "click",
    "timestamp": 1_772_000_000_000_000,
}
ODD: tuple[dict[str, Any], ...] = (
    {"timestamp": None},
    {"timestamp": "2026-01-31T12:00:00Z"},
    {"timestamp": 10**30},
    {"timestamp": -1},
    {"timestamp": True},
    {"price": "dear"},
    {"price": [1]},
    {"quantity": {"of": 3}},
    {"user_id": 7},
    {"event_id": 7},
    {"device": ["phone"]},
)


def test_events_that_are_not_of_the_log_are_left_out() -> None:
    rows = [GOOD, *({**GOOD, "event_id": f"odd{n}", **change} for n, change in enumerate(ODD)), {**GOOD, "value": 1e39}]
    assert sound_events(rows) == [rows[0], rows[-1]]
    assert sound_events([GOOD]) == [GOOD]
    assert sound_events(rows[1:-1]) == []
    assert events_table(sound_events(rows)).num_rows == 1


def test_a_journal_with_such_events_becomes_a_part_and_is_removed(log, counted, caplog):
    dead = log / ".spool" / "worker-dead"
    dead.mkdir(parents=True)
    lines = [GOOD, *({**GOOD, "event_id": f"odd{n}", **change} for n, change in enumerate(ODD))]
    (dead / "journal-dead-000001.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    writer = served_log.writer(log, log / ".spool", counted)
    writer.start()
    writer.stop()
    assert served_log.num_rows(log, "interactions") == 1
    assert counted.lost("interactions", "damaged") == len(ODD)
    assert not list((log / ".spool").rglob("journal-*"))
