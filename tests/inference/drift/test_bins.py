"""Bins: deciles, values that take up deciles of their own, tolerance, categories, and what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inference.drift.bins import MOST_CATEGORIES, SHIFTS, TOLERANCE, Bins

TIMES = len(SHIFTS)


def test_deciles_of_values_far_apart_hold_a_tenth_each() -> None:
    values = np.repeat(2.0 ** np.arange(10), 7)
    bins = Bins.deciles(values)
    assert bins.edges == (1.5, 3, 6, 12, 24, 48, 96, 192, 384)  # midway between the observed values
    assert bins.count(values).tolist() == [7 * TIMES] * 10 + [0]
    assert bins.labels() == (
        *("up to 1.5", "1.5 to 3", "3 to 6", "6 to 12", "12 to 24", "24 to 48", "48 to 96", "96 to 192"),
        *("192 to 384", "above 384", "missing"),
    )


def test_a_value_that_is_a_decile_of_its_own_has_a_bin_of_its_own() -> None:
    values = np.array([0.0] * 60 + [3.0] * 30 + [7.0] * 10)
    bins = Bins.deciles(values)
    counts = dict(zip(bins.labels(), bins.count(values).tolist(), strict=True))
    assert {name: count // TIMES for name, count in counts.items() if count} == {
        "0 to 1.5": 60,
        "1.5 to 5": 30,
        "above 5": 10,
    }
    below = dict(zip(bins.labels(), bins.count(np.array([-1.0])).tolist(), strict=True))
    assert below["up to 0"] == TIMES


@pytest.mark.parametrize("constant", [0.0, 5.0, -3.0])
def test_a_constant_column_may_move_either_way(constant: float) -> None:
    bins = Bins.deciles(np.full(50, constant))
    places = [int(np.flatnonzero(bins.count(np.array([value])))[0]) for value in (constant - 1, constant, constant + 1)]
    assert places == [0, 1, 2]


def test_missing_is_a_bin_of_its_own() -> None:
    bins = Bins.deciles(np.array([1.0, 2.0, np.nan]))
    counts = bins.count(np.array([np.nan, np.inf, -np.inf, 1.0]))
    assert counts[-1] == 3 * TIMES
    assert counts.sum() == 4 * TIMES
    nothing = Bins.deciles(np.array([np.nan, np.nan]))
    assert nothing.labels() == ("any value", "missing")
    assert nothing.count(np.array([4.0, np.nan])).tolist() == [TIMES, TIMES]


def test_what_moves_within_the_tolerance_stays_where_it_is() -> None:
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.1, 0.2, 9_000)
    prior = np.full(1_000, 0.15)  # of all who have no history
    bins = Bins.deciles(np.concatenate([rates, prior]))
    before = bins.count(np.concatenate([rates, prior])) / TIMES
    near = bins.count(np.concatenate([rates, prior * (1 + TOLERANCE / 8)])) / TIMES
    far = bins.count(np.concatenate([rates, prior * (1 + 10 * TOLERANCE)])) / TIMES
    assert np.abs(near - before).max() <= 400  # of the thousand: a third at most jumps over an edge
    assert np.abs(far - before).max() >= 600


def test_whole_numbers_are_not_blurred() -> None:
    values = np.random.default_rng(1).poisson(4, 5_000).astype(float)
    bins = Bins.deciles(values)
    assert (bins.count(values) % TIMES == 0).all()


def test_categories_are_the_most_frequent_and_others() -> None:
    values = np.concatenate([np.repeat(np.arange(1.0, 31.0), np.arange(31, 1, -1)), [np.nan] * 4])
    bins = Bins.table(values, {1.0: "mugs"})
    assert len(bins.values) == MOST_CATEGORIES
    assert bins.labels()[:2] == ("mugs", "2")
    assert bins.labels()[-2:] == ("other", "missing or new")
    counts = bins.count(values)
    assert counts[0] == 31
    assert counts[-1] == 4
    assert counts[-2] == sum(range(2, 12))
    unseen = bins.count(np.array([99.0, 1.0]))
    assert (unseen[0], unseen[-2]) == (1, 1)


def test_edges_in_words_can_be_told_apart_and_are_whole_where_they_are_large() -> None:
    assert Bins(edges=(0.1501, 0.1504, 0.2)).labels()[:3] == ("up to 0.1501", "0.1501 to 0.1504", "0.1504 to 0.2")
    assert Bins(edges=(7.0, 12345.5)).labels()[1] == "7 to 12346"
    assert Bins.deciles(np.zeros(9)).labels() == ("up to 0", "0 to 0", "above 0", "missing")


def test_bins_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="not ascending"):
        Bins(edges=(2.0, 1.0))
    with pytest.raises(ValueError, match="has a name"):
        Bins(values=(1.0,), categorical=True)


@settings(max_examples=50)
@given(
    arrays(np.float64, st.integers(1, 80), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)),
    arrays(np.float64, st.integers(0, 40), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)),
)
def test_every_value_falls_into_a_bin(values: np.ndarray, others: np.ndarray) -> None:
    for bins, times in ((Bins.deciles(values), TIMES), (Bins.table(values), 1)):
        assert len(bins.labels()) == len(bins)
        for given_values in (values, others):
            counts = bins.count(given_values)
            assert counts.sum() == times * len(given_values)
            assert counts[-1] == times * np.count_nonzero(~np.isfinite(given_values))
        assert Bins.model_validate_json(bins.model_dump_json()) == bins
