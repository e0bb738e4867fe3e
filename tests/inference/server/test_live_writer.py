"""The writer of live events, where its store is away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from inference.api.events import Event
from inference.feature_store import StoreSettings, live_store
from inference.server import live_writer
from inference.server.live_writer import LiveWriter
from tests.kit import served_log
from tests.kit.ports import free_port

EVENT = Event.model_validate(
    {"event_id": "e1", "user_id": "u1", "item_id": "i1", "event_type": "click", "timestamp": "2026-01-01T00:00:00Z"}
)


def test_a_failure_is_counted_and_the_writer_pauses(tmp_path, caplog, monkeypatch):
    counted = served_log.Counted()
    here = StoreSettings(tmp_path, "shop")
    places = [StoreSettings(tmp_path, "shop", redis=f"127.0.0.1:{free_port()}"), here, here]
    bundle = cast(Any, SimpleNamespace())
    writer = LiveWriter(lambda _: places.pop(0), counted.metrics)
    writer.write(bundle, [EVENT])
    writer.write(bundle, [EVENT])  # not tried
    assert len(places) == 2
    assert counted.degraded("live") == 2
    assert caplog.text.count("only with the next refresh: Live events cannot be written") == 1
    monkeypatch.setattr(live_writer, "PAUSE_SECONDS", 0.0)
    writer = LiveWriter(lambda _: places.pop(0), counted.metrics)
    writer.write(bundle, [EVENT])
    writer.write(bundle, [EVENT])
    assert [event.item_id for event in live_store(here).read(["u1"])[0]] == ["i1", "i1"]
