"""Followers against plain counting, in one block and in several."""

from __future__ import annotations

import numpy as np
import pytest

from components.index import transitions as module
from components.index.transitions import TransitionsConfig, fit_transitions
from tests.components.index.test_covisitation import DAY, random_events


@pytest.mark.parametrize("most_pairs", [10_000_000, 200])
def test_weights_are_smoothed_shares_of_faded_transitions(most_pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", most_pairs)
    events, as_of = random_events(), 40 * DAY
    config = TransitionsConfig(num_followers=8, fade=0.6, smoothing=3.0, half_life_days=12.0)
    counts = np.zeros((40, 40))
    for user in range(15):
        mine = (events.users == user) & (events.times < as_of)
        rows, times = events.rows[mine].tolist(), events.times[mine]
        for place, before in enumerate(rows):
            for gap in range(1, module.WINDOW + 1):
                if place + gap < len(rows) and rows[place + gap] != before:
                    age = (as_of - times[place + gap]) / DAY
                    counts[before, rows[place + gap]] += 0.6 ** (gap - 1) * 0.5 ** (age / 12)
    shares = counts / (counts.sum(axis=1, keepdims=True) + 3.0)
    found = fit_transitions(events, 40, as_of, config)
    assert found.fade == 0.6
    for row in range(40):
        followers, weights = found.of(row)
        assert row not in followers
        assert len(followers) == min(8, np.count_nonzero(shares[row]))
        np.testing.assert_allclose(weights, shares[row, followers], rtol=1e-5)
        np.testing.assert_allclose(weights, np.sort(shares[row])[::-1][: len(followers)], rtol=1e-5)


def test_direction_counts() -> None:
    events, _ = random_events(), 0
    found = fit_transitions(events, 40, 60 * DAY, TransitionsConfig(num_followers=40))
    pairs = {(row, other) for row in range(40) for other in found.of(row)[0].tolist()}
    assert any((other, row) not in pairs for row, other in pairs)


def test_a_log_without_earlier_events_has_no_followers() -> None:
    found = fit_transitions(random_events(), 40, -DAY, TransitionsConfig())
    assert len(found) == 40
    assert len(found.rows) == 0
