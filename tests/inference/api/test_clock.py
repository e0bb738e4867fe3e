"""The three clocks: of a header, of a log and of the wall."""

from __future__ import annotations

import pytest

from feature_repo.errors import RequestError
from inference.api.clock import Clock


def test_clocks():
    assert Clock("log").now(1000.0) == pytest.approx(1000.0, abs=1)
    assert Clock("log", served_end=5000.0).now(1000.0) == pytest.approx(5000.0, abs=1)
    assert Clock("log", served_end=500.0).now(1000.0) == pytest.approx(1000.0, abs=1)
    assert Clock("wall").now(0.0) > 1_700_000_000
    asked = Clock("request")
    assert asked.now(0.0, "2024-05-01T00:00:00Z") == 1714521600.0
    assert asked.now(0.0, "2024-05-01T02:00:00+02:00") == 1714521600.0
    # Times that no calendar has in UTC, or would not have a day later, have no folder in a log.
    beyond = ("0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00")
    for bad in (None, "", "yesterday", "2024-05-01T00:00:00", "1714521600", *beyond):
        with pytest.raises(RequestError) as caught:
            asked.now(0.0, bad)
        assert caught.value.field == "Kuberec-Time"


def test_the_clock_of_a_log_never_turns_back_and_counts_time_once(monkeypatch):
    passed = iter([100.0, 3700.0, 3701.0, 3702.0])
    monkeypatch.setattr("inference.api.clock.time.monotonic", lambda: next(passed))
    clock = Clock("log")
    assert clock.now(1000.0) == 1000.0
    assert clock.now(4000.0) == 4600.0  # a bundle from a log that ends within the hour that passed
    assert clock.now(1000.0) == 4601.0  # a rollback
    assert clock.now(9000.0) == 9000.0  # a bundle from a log that was extended
