"""The service between requests and the log."""

from __future__ import annotations

import pytest

from feature_repo.errors import RequestError
from inference.api.clock import Clock
from inference.server.service import request_ids, sent_id
from tests.inference.server.bare_service import EVENT, service
from tests.kit import served_log


def test_without_a_log_events_are_not_offered():
    with pytest.raises(RequestError, match="KUBEREC_LOG is not set") as caught:
        service(Clock(), served_log.Counted()).accept(EVENT, {})
    assert caught.value.status == 501


def test_events_need_a_bundle_only_where_the_clock_follows_its_log(tmp_path):
    counted = served_log.Counted()
    writer = served_log.writer(tmp_path, tmp_path / ".spool", counted)
    writer.start()
    events, kept = service(Clock("wall"), counted, writer).accept([EVENT, {**EVENT, "event_id": "e2"}], {})
    kept.result(timeout=10)
    assert len(events) == 2
    with pytest.raises(RequestError) as caught:
        service(Clock("log"), counted, writer).accept(EVENT, {})
    assert caught.value.status == 503
    with pytest.raises(RequestError, match="more than 24 hours ahead"):
        service(Clock("request"), counted, writer).accept(
            [{**EVENT, "timestamp": "2026-01-03T00:00:00Z"}] * 3, {"kuberec-time": "2026-01-01T00:00:00Z"}
        )
    assert counted.events("refused") == 3
    writer.stop()
    assert served_log.num_rows(tmp_path, "interactions") == 2


def test_no_two_slates_share_a_request_id():
    (first,), (second,) = request_ids("abc", 1), request_ids("abc", 1)
    assert first != second
    assert all(made.startswith("abc-") for made in (first, second))
    several = request_ids("abc", 2)
    assert [made[-2:] for made in several] == ["-0", "-1"]
    assert len({made[:-2] for made in several}) == 1
    assert [len(made) for made in request_ids("", 1)] == [32]


def test_an_id_that_cannot_be_logged_is_not_taken():
    assert sent_id({"x-request-id": "page-7"}) == "page-7"
    assert sent_id({}) == ""
    for unusable in ("", "a\nb", "é", "x" * 200):
        assert sent_id({"x-request-id": unusable}) == ""
