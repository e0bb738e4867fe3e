"""The gate's decisions, and the bootstrap under them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluation.bootstrap import resample
from components.evaluation.gate.gate import ENOUGH_USERS, TOLERATED_LOSS, Served, decide

RNG = np.random.default_rng(0)
BASE = RNG.beta(1, 4, 1000)


def better(by: float, noise: float = 0.05) -> np.ndarray:
    """BASE and exactly `by` more in the mean; users differ by `noise` up and down."""
    return BASE + by + noise * np.where(np.arange(len(BASE)) % 2, 1, -1)


def test_a_funnel_above_everything_is_released_on_strong_evidence() -> None:
    decision = decide({"popular": BASE, "ease": better(0.01), "funnel": better(0.05)})
    assert decision.release
    assert decision.passed
    assert decision.evidence == "strong"
    assert decision.differences["popular"].low > 0
    assert "above popular by +0.05" in decision.sentence


@pytest.mark.parametrize("name", ["popular", "own", "itemknn", "ease", "als", "retrieval"])
def test_below_any_baseline_is_refused_with_the_number(name: str) -> None:
    values = {"popular": better(-0.1), name: better(0.03), "funnel": BASE}
    decision = decide(values)
    assert not decision.release
    assert decision.sentence.startswith("not released: ")
    assert name in decision.sentence
    assert f"{BASE.mean():.4f}" in decision.sentence
    assert f"{values[name].mean():.4f}" in decision.sentence


def test_a_difference_that_could_be_chance_does_not_refuse_but_popular_has_to_be_beaten() -> None:
    assert decide({"popular": better(-0.05), "ease": better(0.001, 0.2), "funnel": BASE}).release
    decision = decide({"popular": better(0.0, 0.2), "funnel": BASE})
    assert not decision.release
    assert "not shown to be above" in decision.sentence


def test_equal_to_popular_is_not_above_it() -> None:
    assert not decide({"popular": BASE, "funnel": BASE.copy()}).release


@pytest.mark.parametrize(("num", "evidence"), [(ENOUGH_USERS - 1, "weak"), (ENOUGH_USERS, "strong"), (0, "weak")])
def test_too_few_users_release_on_weak_evidence(num: int, evidence: str) -> None:
    decision = decide({"popular": np.ones(num), "funnel": np.zeros(num)})
    assert decision.evidence == evidence
    assert decision.release is (evidence == "weak")
    assert str(num) in decision.sentence or evidence == "strong"


def test_warn_releases_marked() -> None:
    decision = decide({"popular": better(0.1), "funnel": BASE}, mode="warn")
    assert decision.release
    assert not decision.passed
    assert decision.reasons
    assert "gate=warn" in decision.sentence


@pytest.mark.parametrize(("by", "words"), [(0.1, "would be released"), (-0.1, "would not be released")])
def test_a_measurement_releases_nothing_and_says_what_would_be(by: float, words: str) -> None:
    values = {"popular": BASE, "funnel": better(by)}
    decision = decide(values, mode="measure")
    assert not decision.release
    assert decision.passed is (by > 0)
    assert decision.verdict == words
    assert decision.sentence.startswith(f"measured, nothing is released; the funnel {words}: ")
    assert f"{values['funnel'].mean():.4f}" in decision.sentence
    few = decide({name: column[:50] for name, column in values.items()}, mode="measure")
    assert not few.release
    assert "would be released on weak evidence: 50 test users" in few.sentence


def test_the_served_bundle_counts_only_with_enough_users() -> None:
    values = {"popular": better(-0.1), "funnel": BASE}
    worse = Served("v1", candidate=BASE, served=better(0.05))
    assert not decide(values, served=worse).release
    assert "v1" in decide(values, served=worse).sentence
    few = Served("v1", candidate=worse.candidate[:199], served=worse.served[:199])
    assert decide(values, served=few).release
    assert decide(values, served=Served("v1", BASE, better(-0.05))).release


def test_as_little_below_the_served_bundle_as_trainings_differ_is_released_and_told() -> None:
    values = {"popular": better(-0.1), "funnel": BASE}
    margin = TOLERATED_LOSS * (BASE.mean() + 0.02)
    near, far = (decide(values, served=Served("v1", BASE, better(by))) for by in (0.8 * margin, 2 * margin))
    assert near.differences["served v1"].below_zero
    assert (near.release, near.passed) == (True, True)
    assert (far.release, far.passed) == (False, False)


def test_intervals_match_the_normal_approximation_and_repeat() -> None:
    drawn = resample({"a": BASE, "b": better(0.02)}, resamples=4000)
    interval = drawn.interval("a")
    error = BASE.std(ddof=1) / np.sqrt(len(BASE))
    assert interval.low == pytest.approx(BASE.mean() - 1.96 * error, abs=0.15 * error)
    assert interval.high == pytest.approx(BASE.mean() + 1.96 * error, abs=0.15 * error)
    again = resample({"a": BASE}, resamples=4000)
    assert again.interval("a").low == pytest.approx(interval.low, rel=1e-12)
    assert resample({"a": BASE}, resamples=4000).interval("a") == again.interval("a")


def test_pairing_narrows_the_interval_of_a_difference() -> None:
    values = {"a": BASE, "b": better(0.02, 0.01)}
    paired = resample(values).difference("b", "a")
    apart = resample({"a": BASE, "b": RNG.permutation(values["b"])}).difference("b", "a")
    assert paired.low > 0
    assert paired.high - paired.low < 0.3 * (apart.high - apart.low)


def test_nobody_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="at least one user"):
        resample({"a": np.zeros(0)})


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 1000))
def test_an_interval_lies_within_the_values(values: list[float], seed: int) -> None:
    interval = resample({"a": np.array(values)}, resamples=50, seed=seed).interval("a")
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9
