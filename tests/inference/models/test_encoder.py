"""Histories as rectangles; the encoder itself is tested with fitted towers in tests/components/retrieval."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.features.state import History
from inference.models.encoder import pad_history

DAY = 86_400.0


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 5))
def test_the_latest_events_stay_oldest_first(lengths: list[int], length: int) -> None:
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    n = int(offsets[-1])
    history = History(
        offsets=offsets,
        rows=np.arange(100, 100 + n, dtype=np.int32),
        grades=(1 + np.arange(n) % 3).astype(np.int8),
        times=np.arange(n, dtype=np.float64) * DAY,
    )
    queries = np.arange(len(lengths), dtype=np.float64) * DAY + 4 * DAY
    rows, ages, grades = pad_history(history, queries, length)
    assert rows.shape == ages.shape == grades.shape == (len(lengths), max(1, *(min(k, length) for k in [*lengths, 0])))
    for user, own in enumerate(lengths):
        kept = min(own, length)
        span = slice(offsets[user + 1] - kept, offsets[user + 1])
        np.testing.assert_array_equal(rows[user, :kept], history.rows[span])
        np.testing.assert_array_equal(grades[user, :kept], history.grades[span])
        expected = np.maximum((queries[user] - history.times[span]) / DAY, 0)
        np.testing.assert_allclose(ages[user, :kept], expected, rtol=1e-6)
        assert not rows[user, kept:].any()
        assert not grades[user, kept:].any()
        assert not ages[user, kept:].any()
