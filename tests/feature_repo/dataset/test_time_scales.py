"""Lives of items and visits of users, measured on logs small enough to count by hand."""

import numpy as np
import pytest

from feature_repo.dataset.time_scales import item_life, visits


def test_items_live_as_long_as_their_events_are_spread() -> None:
    short, long = np.arange(10) * 3600.0, np.arange(10) * 86400.0
    rows = np.repeat([0, 1, 2], [10, 10, 2])
    times = np.concatenate([long, short, [0.0, 1e9]])
    assert item_life(rows[10:], times[10:]) == 8 * 3600  # from the second to the last but one of ten
    assert item_life(rows[:10], times[:10]) == 8 * 86400
    assert item_life(rows[20:], times[20:]) == 1e9  # no item has enough events
    assert item_life(rows[:0], times[:0]) == 0.0


def test_a_visit_ends_before_a_gap_or_with_its_session() -> None:
    users = np.array([1, 0, 0, 0, 0, 1])
    times = np.array([0.0, 0.0, 600.0, 5000.0, 5300.0, 9e4])
    unknown = np.full(6, -1)
    assert visits(users, unknown, times) == (450.0, (4400.0 + 9e4) / 2)  # lengths 600 and 300
    one = np.array([1, 7, 7, 7, 7, 1])
    assert visits(users, one, times) == ((5300.0 + 9e4) / 2, None)  # nobody returns after a session


@pytest.mark.parametrize("num", [0, 1])
def test_a_log_without_visits_has_no_lengths(num: int) -> None:
    assert visits(np.zeros(num, np.int64), np.full(num, -1), np.zeros(num)) == (None, None)
