"""What counts as a spike."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from components.validation.rows.oddities import volume_scores


def test_a_weekly_rhythm_and_growth_are_no_spikes() -> None:
    days = np.arange(120)
    counts = (1_000 * 1.01**days * np.where(days % 7 >= 5, 0.6, 1.0)).astype(np.int64)
    assert not volume_scores(counts)[1].any()


def test_a_day_three_times_as_large_is_a_spike_even_beside_empty_days() -> None:
    counts = np.full(60, 500)
    counts[::6] = 0
    counts[31] = 1_500
    assert np.flatnonzero(volume_scores(counts)[1]).tolist() == [31]


@given(st.lists(st.integers(0, 10_000), max_size=60))
def test_scores_are_finite_and_under_a_week_has_no_spikes(counts: list[int]) -> None:
    scores, spikes = volume_scores(np.array(counts, dtype=np.int64))
    assert np.isfinite(scores).all()
    assert len(scores) == len(spikes) == len(counts)
    assert np.count_nonzero(counts) >= 7 or not spikes.any()
