"""The service between requests and the log."""

from __future__ import annotations

from typing import Any, cast

import pytest

from feature_repo.errors import RequestError
from inference.api.clock import Clock
from inference.server.service import Service
from tests.inference.log import logs

EVENT = {"event_id": "e1", "user_id": "u1", "item_id": "i1", "event_type": "click"}


class NoRelease:
    """A server that has just started."""

    def current(self):
        return None


def service(clock: Clock, counted: logs.Counted, writer=None) -> Service:
    return Service(cast(Any, NoRelease()), clock, counted.metrics, 1.0, writer)


def test_without_a_log_events_are_not_offered():
    with pytest.raises(RequestError, match="KUBEREC_LOG is not set") as caught:
        service(Clock(), logs.Counted()).accept(EVENT, {})
    assert caught.value.status == 501


def test_events_need_a_bundle_only_where_the_clock_follows_its_log(tmp_path):
    counted = logs.Counted()
    writer = logs.writer(tmp_path, tmp_path / ".spool", counted)
    writer.start()
    num, kept = service(Clock("wall"), counted, writer).accept([EVENT, {**EVENT, "event_id": "e2"}], {})
    kept.result(timeout=10)
    assert num == 2
    with pytest.raises(RequestError) as caught:
        service(Clock("log"), counted, writer).accept(EVENT, {})
    assert caught.value.status == 503
    with pytest.raises(RequestError, match="more than 24 hours ahead"):
        service(Clock("request"), counted, writer).accept(
            [{**EVENT, "timestamp": "2026-01-03T00:00:00Z"}] * 3, {"kuberec-time": "2026-01-01T00:00:00Z"}
        )
    assert counted.events("refused") == 3
    writer.stop()
    assert logs.num_rows(tmp_path, "interactions") == 2
