"""The gate's decisions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from components.evaluation.gate.gate import ENOUGH_USERS, TOLERATED_LOSS, GateDecision, Served, decide
from inference.scorers.ranker import RankerDescription
from tests.components.evaluation.logs import of_users

RNG = np.random.default_rng(0)
BASE = RNG.beta(1, 4, 1000)


def decide_users(values: Mapping[str, np.ndarray], **options) -> GateDecision:
    return decide(of_users(values), **options)


def better(by: float, noise: float = 0.05) -> np.ndarray:
    """BASE and exactly `by` more in the mean; users differ by `noise` up and down."""
    return BASE + by + noise * np.where(np.arange(len(BASE)) % 2, 1, -1)


def test_a_funnel_above_everything_is_released_on_strong_evidence() -> None:
    decision = decide_users({"popular": BASE, "ease": better(0.01), "funnel": better(0.05)})
    assert decision.release
    assert decision.passed
    assert decision.evidence == "strong"
    assert decision.differences["popular"].low > 0
    assert "above popular by +0.05" in decision.sentence


@pytest.mark.parametrize("name", ["popular", "own", "itemknn", "ease", "als", "retrieval"])
def test_below_any_baseline_is_refused_with_the_number(name: str) -> None:
    values = {"popular": better(-0.1), name: better(0.03), "funnel": BASE}
    decision = decide_users(values)
    assert not decision.release
    assert decision.sentence.startswith("not released: ")
    assert name in decision.sentence
    assert f"{BASE.mean():.4f}" in decision.sentence
    assert f"{values[name].mean():.4f}" in decision.sentence


def test_a_difference_that_could_be_chance_does_not_refuse_but_popular_has_to_be_beaten() -> None:
    assert decide_users({"popular": better(-0.05), "ease": better(0.001, 0.2), "funnel": BASE}).release
    decision = decide_users({"popular": better(0.0, 0.2), "funnel": BASE})
    assert not decision.release
    assert "not shown to be above" in decision.sentence


def test_equal_to_popular_is_not_above_it() -> None:
    decision = decide_users({"popular": BASE, "funnel": BASE.copy()})
    assert not decision.release
    assert decision.evidence == "weak"
    assert decide(None).evidence == "weak"


@pytest.mark.parametrize(("num", "evidence"), [(ENOUGH_USERS - 1, "weak"), (ENOUGH_USERS, "strong"), (0, "weak")])
def test_too_few_users_release_on_weak_evidence(num: int, evidence: str) -> None:
    decision = decide_users({"popular": np.ones(num), "funnel": np.zeros(num)})
    assert decision.evidence == evidence
    assert decision.release is (evidence == "weak")
    assert str(num) in decision.sentence or evidence == "strong"


def test_warn_releases_marked() -> None:
    decision = decide_users({"popular": better(0.1), "funnel": BASE}, mode="warn")
    assert decision.release
    assert not decision.passed
    assert decision.reasons
    assert "gate=warn" in decision.sentence


@pytest.mark.parametrize(("by", "words"), [(0.1, "would be released"), (-0.1, "would not be released")])
def test_a_measurement_releases_nothing_and_says_what_would_be(by: float, words: str) -> None:
    values = {"popular": BASE, "funnel": better(by)}
    decision = decide_users(values, mode="measure")
    assert not decision.release
    assert decision.passed is (by > 0)
    assert decision.verdict == words
    assert decision.sentence.startswith(f"measured, nothing is released; the funnel {words}: ")
    assert f"{values['funnel'].mean():.4f}" in decision.sentence
    few = decide_users({name: column[:50] for name, column in values.items()}, mode="measure")
    assert not few.release
    assert "would be released on weak evidence: 50 test users" in few.sentence


def test_the_served_bundle_counts_only_with_enough_users() -> None:
    values = {"popular": better(-0.1), "funnel": BASE}
    worse = Served("v1", of_users({"funnel": BASE, "served": better(0.05)}))
    assert not decide_users(values, served=worse).release
    assert "v1" in decide_users(values, served=worse).sentence
    few = Served("v1", of_users({"funnel": BASE[:199], "served": better(0.05)[:199]}))
    assert decide_users(values, served=few).release
    assert decide_users(values, served=Served("v1", of_users({"funnel": BASE, "served": better(-0.05)}))).release


def test_as_little_below_the_served_bundle_as_trainings_differ_is_released_and_told() -> None:
    values = {"popular": better(-0.1), "funnel": BASE}
    margin = TOLERATED_LOSS * (BASE.mean() + 0.02)
    near, far = (
        decide_users(values, served=Served("v1", of_users({"funnel": BASE, "served": better(by)})))
        for by in (0.8 * margin, 2 * margin)
    )
    assert near.differences["served v1"].below_zero
    assert (near.release, near.passed) == (True, True)
    assert (far.release, far.passed) == (False, False)


@pytest.mark.parametrize("protocol", ["rolling", "temporal"])
def test_every_sentence_names_the_protocol_that_decides(protocol: str) -> None:
    served = Served("v1", of_users({"funnel": BASE, "served": better(0.05)}))
    ahead, behind = {"popular": better(-0.1), "funnel": BASE}, {"popular": better(0.1), "funnel": BASE}
    few = {name: column[:50] for name, column in ahead.items()}
    for values in (ahead, behind, few):
        assert decide_users(values, protocol=protocol).sentence.endswith(f"; decided by the {protocol} protocol")
    worse = decide_users(ahead, protocol=protocol, served=served).sentence
    assert "the served bundle v1 (temporal)" in worse


def test_the_popular_order_has_nothing_to_prove_against_popular() -> None:
    values = {"popular": BASE, "ease": better(-0.02), "funnel": BASE.copy()}
    popular = RankerDescription(kind="order", order="popular", reason="popular was best")
    decision = decide_users(values, ranker=popular)
    assert decision.release
    assert decision.passed
    assert decision.evidence == "strong"
    assert (decision.order, decision.order_reason) == ("popular", "popular was best")
    assert decision.sentence.endswith(
        "the served order is popular, because the trees did not rank better on validation"
    )
    assert "against popular +0.0000" in decision.sentence
    for order in ("ranker", "fusion", "own"):
        refused = decide_users(values, ranker=RankerDescription(order=order))
        assert not refused.release
        assert "not shown to be above" in refused.sentence


@pytest.mark.parametrize("name", ["ease", "popular"])
def test_the_popular_order_below_a_baseline_is_refused(name: str) -> None:
    values = {"popular": BASE.copy(), "funnel": BASE.copy(), name: better(0.03)}
    decision = decide_users(values, ranker=RankerDescription(kind="order", order="popular"))
    assert not decision.release
    assert decision.evidence == "strong"
    assert len(decision.reasons) == 1
    assert name in decision.reasons[0]


def test_the_first_bundle_may_lead_popular_by_chance_only() -> None:
    """A feed that is better on average is better than none, but nothing else is forgiven."""
    ahead = {"popular": better(-0.002, 0.3), "ease": better(-0.05), "funnel": BASE}
    assert not decide_users(ahead).release
    decision = decide_users(ahead, first=True)
    assert (decision.release, decision.passed, decision.evidence, decision.reasons) == (True, True, "weak", ())
    assert decision.sentence.startswith("released on weak evidence, because no bundle is served: funnel's NDCG@20")
    assert "not shown to be above that of popular" in decision.sentence
    measured = decide_users(ahead, first=True, mode="measure")
    assert (measured.release, measured.passed) == (False, True)
    assert "would be released on weak evidence" in measured.sentence
    assert not decide_users({"popular": BASE, "funnel": BASE.copy()}, first=True).release
    assert not decide_users({**ahead, "popular": better(0.002, 0.3)}, first=True).release
    assert not decide_users({**ahead, "ease": better(0.03)}, first=True).release
