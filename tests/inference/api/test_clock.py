"""The three clocks: of a header, of a log and of the wall."""

from __future__ import annotations

import pytest

from feature_repo.errors import RequestError
from inference.api.clock import Clock, parse_moment


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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-05-01T00:00:00Z", 1714521600.0),
        ("2024-05-01t00:00:00z", 1714521600.0),
        ("2024-05-01 00:00:00Z", 1714521600.0),
        ("2024-05-01T05:30:00+05:30", 1714521600.0),
        ("2024-05-01T00:00:00-00:00", 1714521600.0),
        ("2024-05-01T00:00:00.5Z", 1714521600.5),
        ("2024-05-01T00:00:00.1234567891234Z", 1714521600.123456),
        ("2016-12-31T23:59:60Z", 1483228800.0),  # leap seconds
        ("2016-12-31T15:59:60.25-08:00", 1483228800.25),
    ],
)
def test_every_form_of_rfc_3339_is_read(text, seconds):
    assert parse_moment(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01T00:00:60Z",  # not at the end of a month
        "9999-12-31T23:59:60Z",
        "2024-W18-3T00:00:00Z",
        "20240501T000000Z",
        "2024-05-01T00:00Z",
        "2024-05-01T24:00:00Z",
        "2024-05-01T00:00:00,5Z",
        "2024-05-01T00:00:00.Z",
        "2024-05-01T00:00:00+0100",
        "2024-05-01T00:00:00+01:60",
        "2024-05-01T00:00:00+24:00",
        "2024-02-30T00:00:00Z",
        " 2024-05-01T00:00:00Z",
        "2024-05-01T00:00:00Z\n",
        "\u0662024-05-01T00:00:00Z",
    ],
)
def test_other_forms_are_refused(text):
    with pytest.raises(ValueError, match="is not an RFC 3339 time"):
        parse_moment(text)
