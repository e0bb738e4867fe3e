"""The bootstrap over users, days and items."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluation.bootstrap import Resampled, Scores, resample
from tests.components.evaluation.logs import of_users

RNG = np.random.default_rng(0)
BASE = RNG.beta(1, 4, 1000)


def resample_users(values: Mapping[str, np.ndarray], **options) -> Resampled:
    return resample(of_users(values), **options)


def better(by: float, noise: float = 0.05) -> np.ndarray:
    """BASE and exactly `by` more in the mean; users differ by `noise` up and down."""
    return BASE + by + noise * np.where(np.arange(len(BASE)) % 2, 1, -1)


def test_intervals_match_the_normal_approximation_and_repeat() -> None:
    drawn = resample_users({"a": BASE, "b": better(0.02)}, resamples=4000)
    interval = drawn.interval("a")
    error = BASE.std(ddof=1) / np.sqrt(len(BASE))
    assert interval.low == pytest.approx(BASE.mean() - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(BASE.mean() + 1.96 * error, abs=0.15 * error)
    again = resample_users({"a": BASE}, resamples=4000)
    assert again.interval("a").low == pytest.approx(interval.low, rel=1e-12)
    assert resample_users({"a": BASE}, resamples=4000).interval("a") == again.interval("a")


def test_pairing_narrows_the_interval_of_a_difference() -> None:
    values = {"a": BASE, "b": better(0.02, 0.01)}
    paired = resample_users(values).difference("b", "a")
    apart = resample_users({"a": BASE, "b": RNG.permutation(values["b"])}).difference("b", "a")
    assert paired.low > 0
    assert paired.high - paired.low < 0.3 * (apart.high - apart.low)


def test_nobody_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="at least one user"):
        resample_users({"a": np.zeros(0)})


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 1000))
def test_an_interval_lies_within_the_values(values: list[float], seed: int) -> None:
    interval = resample_users({"a": np.array(values)}, resamples=50, seed=seed).interval("a")
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9


def crossed(num: int, item_noise: float, day_noise: float, seed: int = 0) -> Scores:
    """Users with one relevant item each; what a method gains depends on the user, and on item and day by the noises."""
    rng = np.random.default_rng(seed)
    items, days = rng.integers(0, 40, num), rng.integers(0, 7, num)
    gain = rng.normal(0, 1, num) + item_noise * rng.normal(0, 1, 40)[items] + day_noise * rng.normal(0, 1, 7)[days]
    units = {"users": np.arange(num), "days": days, "items": items}
    return Scores({"a": gain, "b": np.zeros(num)}, np.ones(num), units)


def width(scores: Scores) -> float:
    interval = resample(scores, resamples=1000).difference("a", "b")
    return interval.high - interval.low


def users_only(scores: Scores) -> Scores:
    return Scores(scores.values, scores.sizes, {"users": scores.units["users"]})


def test_where_only_users_vary_the_interval_hardly_widens() -> None:
    ratios = [width(scores) / width(users_only(scores)) for scores in (crossed(4000, 0, 0, seed) for seed in range(4))]
    assert min(ratios) >= 1
    assert np.mean(ratios) < 1.25


@pytest.mark.parametrize(("noises", "unit"), [((1.0, 0.0), "items"), ((0.0, 1.0), "days")])
def test_the_unit_that_varies_is_widest_and_covers_the_truth(noises: tuple[float, float], unit: str) -> None:
    covered, of_users_covered = [], []
    for seed in range(40):
        scores = crossed(2000, *noises, seed=seed)
        interval = resample(scores, resamples=400).difference("a", "b")
        alone = resample(users_only(scores), resamples=400).difference("a", "b")
        assert interval.unit == unit
        covered.append(interval.low <= 0 <= interval.high)
        of_users_covered.append(alone.low <= 0 <= alone.high)
    assert np.mean(covered) > 0.8
    assert np.mean(of_users_covered) < 0.5


def test_a_query_of_many_items_weighs_as_much_as_a_query_of_one() -> None:
    scores = Scores(
        {"a": np.array([1.0, 0.0, 0.25, 0.0])},
        np.array([1.0, 1 / 3, 1 / 3, 1 / 3]),
        {"users": np.array([5, 9, 9, 9]), "items": np.array([1, 1, 2, 3])},
    )
    drawn = resample(scores)
    assert drawn.means[0] == pytest.approx((1.0 + 0.25) / 2)
    assert scores.num_users == 2
    assert set(np.round(drawn.draws["users"][:, 0], 6)) == {0.25, 0.625, 1.0}
    assert "items" in drawn.draws


def test_two_days_say_nothing_about_days() -> None:
    scores = Scores({"a": BASE}, np.ones(1000), {"users": np.arange(1000), "days": np.arange(1000) % 2})
    assert set(resample(scores).draws) == {"users"}
