"""The release gate: decides whether a funnel may be served, and how strong the evidence is.

The decision uses paired differences of NDCG@20 with 95 % bootstrap intervals over users, days and items; the widest
interval counts. The gate refuses a funnel in three cases:
- it is below a baseline, and the interval of the difference excludes zero;
- it is not above `popular` by an interval that excludes zero, unless it serves the popular order itself, or is above it
  on average and no bundle is served yet: such a feed is better than none;
- it is further below the served bundle than two trainings of the same recipe differ.
Evidence is strong where intervals decide. It is weak if the evaluation has few users, or if the only reason against a
release is an interval that includes zero: then the difference rests on too few users, days or items.
The gate itself changes nothing: the release step acts on the decision. In the mode `measure` nothing can be released,
and the decision says what would happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from components.evaluation.bootstrap import Interval, Scores, resample
from inference.scorers.ranker import BY_RANKER, RankerDescription

ENOUGH_USERS = 200
# The margin of a non-inferiority test, as a share of the served bundle's NDCG@20. Two trainings of the same recipe
# differ by this much with their seeds (one standard deviation); an interval over users misses it (DECISIONS 25).
TOLERATED_LOSS = 0.05
NUM_TOLD = 2  # reasons in the sentence, the widest gaps first; the other reasons are only counted
FUNNEL = "funnel"
POPULAR = "popular"
SERVED = "served"
Mode = Literal["refuse", "warn", "measure"]


@dataclass(frozen=True, slots=True)
class Served:
    """NDCG@20 of the new bundle (`funnel`) and of the served bundle (`served`), paired.

    Only events that do not answer a slate count, in a span that neither bundle was fitted on.
    """

    version: str
    scores: Scores


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The decision of the gate.

    Attributes:
        release: Whether the bundle may be served; always false in the mode `measure`.
        evidence: `weak` if there are fewer than `ENOUGH_USERS` test users, or if no interval shows a difference.
        passed: Whether there is no reason against the release; `warn` releases without it.
        verdict: The decision in two or three words.
        reasons: Reasons against the release, one sentence each, the widest gap first.
        sentence: The whole decision in a sentence with the numbers.
        differences: Other method -> NDCG@20 of the funnel minus NDCG@20 of that method.
        order: The order that the funnel serves, see `RankerDescription`.
        order_reason: Why training chose this order; "" if it compared none.
    """

    release: bool
    evidence: Literal["strong", "weak"]
    passed: bool
    verdict: str
    reasons: tuple[str, ...]
    sentence: str
    differences: Mapping[str, Interval]
    order: str = BY_RANKER
    order_reason: str = ""


def decide(
    scores: Scores | None,
    *,
    served: Served | None = None,
    mode: Mode = "refuse",
    seed: int = 0,
    ranker: RankerDescription | None = None,
    first: bool = False,
    protocol: str = "temporal",
) -> GateDecision:
    """Decide on a release.

    Args:
        scores: NDCG@20 of every method that applies, with `funnel`; None without test users.
        served: The comparison with the served bundle, None if there is no such comparison.
        mode: `warn` releases in spite of reasons against it; `measure` releases nothing and says what would happen.
        seed: Seed of the bootstrap.
        ranker: Says which order the funnel serves; None for the order of a model.
        first: Whether no bundle is served.
        protocol: The protocol of the scores; `served` is always temporal.
    """
    ranker = ranker or RankerDescription()
    decision = _decide(scores, served, mode, seed, serves_popular=ranker.order == POPULAR, first=first)
    sentence = f"{decision.sentence}; decided by the {protocol} protocol"
    if ranker.order != BY_RANKER:
        sentence += f"; the served order is {ranker.order}, because the trees did not rank better on validation"
    return replace(decision, sentence=sentence, order=ranker.order, order_reason=ranker.reason)


def _decide(
    scores: Scores | None, served: Served | None, mode: Mode, seed: int, *, serves_popular: bool, first: bool
) -> GateDecision:
    num_users = 0 if scores is None else scores.num_users
    if scores is None or num_users < ENOUGH_USERS:
        verdict = "would be released" if mode == "measure" else "released"
        sentence = f"{verdict} on weak evidence: {num_users} test users, {ENOUGH_USERS} are needed for a comparison"
        return GateDecision(mode != "measure", "weak", True, verdict, (), _measured(mode) + sentence, {})
    resampled = resample(scores, seed=seed)
    differences = {name: resampled.difference(FUNNEL, name) for name in resampled.names if name != FUNNEL}
    means = dict(zip(resampled.names, resampled.means.tolist(), strict=True))
    behind = sorted((gap.mean, name) for name, gap in differences.items() if gap.below_zero)
    reasons = [_below(name, means[FUNNEL], means[name], differences[name]) for _, name in behind]
    beats_popular = differences.get(POPULAR)
    undecided = beats_popular is not None and not beats_popular.above_zero and not beats_popular.below_zero
    if beats_popular is not None and undecided and not serves_popular:
        reasons.append(_not_above_popular(means[FUNNEL], means[POPULAR], beats_popular))
    if served is not None and served.scores.num_users >= ENOUGH_USERS:
        pair = resample(served.scores, seed=seed)
        difference = pair.difference(FUNNEL, SERVED)
        differences[f"served {served.version}"] = difference
        new, old = pair.interval(FUNNEL).mean, pair.interval(SERVED).mean
        if difference.high < -TOLERATED_LOSS * old:
            reasons.append(_below(f"the served bundle {served.version} (temporal)", new, old, difference))
    if not reasons:
        margin = "" if beats_popular is None else f", {_words(beats_popular)} {_interval(beats_popular)}"
        verdict = "would be released" if mode == "measure" else "released"
        sentence = (
            f"{_measured(mode)}{verdict}: funnel's NDCG@20 is {means[FUNNEL]:.4f} over {num_users:,} users{margin}"
        )
        return GateDecision(mode != "measure", "strong", True, verdict, (), sentence, differences)
    chance = undecided and not serves_popular and len(reasons) == 1
    if chance and first and means[FUNNEL] > means[POPULAR]:
        verdict = "would be released" if mode == "measure" else "released"
        sentence = f"{_measured(mode)}{verdict} on weak evidence, because no bundle is served: {reasons[0]}"
        return GateDecision(mode != "measure", "weak", True, verdict, (), sentence, differences)
    named = "; ".join(reasons[:NUM_TOLD]) + (f"; and {len(reasons) - NUM_TOLD} more" if len(reasons) > NUM_TOLD else "")
    verdict = {"refuse": "not released", "warn": "released", "measure": "would not be released"}[mode]
    because = " by gate=warn although" if mode == "warn" else ":"
    sentence = f"{_measured(mode)}{verdict}{because} {named}"
    evidence: Literal["strong", "weak"] = "weak" if chance else "strong"
    return GateDecision(mode == "warn", evidence, False, verdict, tuple(reasons), sentence, differences)


def _words(difference: Interval) -> str:
    return "above popular by" if difference.above_zero else "against popular"


def _measured(mode: Mode) -> str:
    return "measured, nothing is released; the funnel " if mode == "measure" else ""


def _below(name: str, funnel: float, other: float, difference: Interval) -> str:
    return f"funnel's NDCG@20 {funnel:.4f} is below that of {name}, {other:.4f}, by {_interval(difference)}"


def _not_above_popular(funnel: float, popular: float, difference: Interval) -> str:
    return (
        f"funnel's NDCG@20 {funnel:.4f} is not shown to be above that of popular, {popular:.4f}: "
        f"the difference is {_interval(difference)}"
    )


def _interval(difference: Interval) -> str:
    bounds = f"{difference.low:+.4f} to {difference.high:+.4f}"
    return f"{difference.mean:+.4f} (95 % interval over {difference.unit} {bounds})"
