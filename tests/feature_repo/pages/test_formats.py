"""Numbers, shares and times as people read them."""

from __future__ import annotations

import math

import pytest

from feature_repo.pages.formats import duration, moment, number, percent, short_percent


@pytest.mark.parametrize(
    ("value", "words"),
    [
        *((1234567, "1,234,567"), (2.0, "2"), (0.123456, "0.1235"), (12345.6, "12,346"), (-3, "-3")),
        *((None, "-"), (math.nan, "-"), (1e18, "1,000,000,000,000,000,000"), (math.inf, "inf")),
    ],
)
def test_numbers(value: float | None, words: str) -> None:
    assert number(value) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [
        *((0.0, "0 %"), (1.0, "100 %"), (0.986, "98.6 %"), (0.24934, "24.93 %")),
        *((0.99999, "99.99+ %"), (0.00001, "under 0.01 %")),
    ],
)
def test_a_part_is_never_nothing_and_never_the_whole(share: float, words: str) -> None:
    assert percent(share) == words


def test_shares_inside_a_sentence_are_short() -> None:
    assert [short_percent(share) for share in (0, 0.004, 0.0994, 0.0995, 0.456, 1)] == [
        *("0 %", "0.4 %", "9.9 %", "10 %", "46 %", "100 %"),
    ]


def test_durations_have_two_of_their_unit() -> None:
    lengths = (None, 0.0, 90.0, 120.0, 7199.0, 84_045.0, 172_800.0, 1_886_440.9)
    assert [duration(length) for length in lengths] == [
        *("-", "0 s", "90 s", "2 min", "120 min", "23.3 h", "2 days", "21.8 days"),
    ]


def test_times_are_utc_to_the_minute() -> None:
    assert moment(1_764_000_059.9) == "2025-11-24 16:00"
