"""A unit error is named when exactly one pair of units explains implausible times."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from feature_repo.dataset.time_units import UNITS, date, unit_error, year

NOW = datetime(2026, 11, 28, tzinfo=UTC).timestamp()
FIRST, LAST = (datetime(2025, 3, day, tzinfo=UTC).timestamp() for day in (3, 23))


@pytest.mark.parametrize("written", UNITS)
@pytest.mark.parametrize("read", UNITS)
def test_the_pair_of_units_is_named_with_the_dates(written: str, read: str) -> None:
    scale = UNITS[read] / UNITS[written]
    found = unit_error(FIRST * scale, LAST * scale, NOW)
    if written == read:
        assert found == ""
    else:
        assert f"{written} read as {read}" in found
        assert found.endswith("which would be 2025-03-03 to 2025-03-23")


@pytest.mark.parametrize("span", [(0.0, LAST), (0.0, 0.0), (-5e7, -4e7), (FIRST / 1e9, LAST)])
def test_no_unit_explains_some_times(span: tuple[float, float]) -> None:
    assert unit_error(*span, NOW) == ""


def test_a_known_unit_leaves_one_pair() -> None:
    words = "milliseconds read as microseconds, which would be 2025-03-03 to 2025-03-23"
    assert unit_error(FIRST / 1e3, LAST / 1e3, NOW, "microseconds") == words
    assert unit_error(FIRST / 1e3, LAST / 1e3, NOW, "seconds") == ""


def test_a_time_without_a_date_is_a_year() -> None:
    assert date(1.7e12) == "the year 55,841"
    assert date(-1.0) == "1969-12-31"
    assert (year(1.7e12), year(-1.0)) == ("the year 55,841", "1969")
