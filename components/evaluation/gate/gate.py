"""The release gate: decides whether a funnel may be served, and how strong the evidence is.

The decision uses NDCG@20 per user, paired, with 95 % bootstrap intervals. The gate refuses a funnel in three cases:
- it is below a baseline, and the interval of the difference excludes zero;
- it is not above `popular` by an interval that excludes zero;
- it is further below the served bundle than two trainings of the same recipe differ.
The gate itself changes nothing: the release step acts on the decision. In the mode `measure` nothing can be released,
and the decision says what would happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.evaluation.bootstrap import Interval, resample

ENOUGH_USERS = 200
# The margin of a non-inferiority test, as a share of the served bundle's NDCG@20. Two trainings of the same recipe
# differ by this much with their seeds (one standard deviation); an interval over users misses it (DECISIONS 25).
TOLERATED_LOSS = 0.05
NUM_TOLD = 2  # reasons in the sentence, the widest gaps first; the other reasons are only counted
FUNNEL = "funnel"
POPULAR = "popular"
Mode = Literal["refuse", "warn", "measure"]


@dataclass(frozen=True, slots=True)
class Served:
    """NDCG@20 of the new and the served bundle by user, paired [p].

    Only events that do not answer a slate count, in a span that neither bundle was fitted on.
    """

    version: str
    candidate: npt.NDArray[np.float64]
    served: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The decision of the gate.

    Attributes:
        release: Whether the bundle may be served; always false in the mode `measure`.
        evidence: `weak` if there are fewer than `ENOUGH_USERS` test users.
        passed: Whether there is no reason against the release; `warn` releases without it.
        verdict: The decision in two or three words.
        reasons: Reasons against the release, one sentence each, the widest gap first.
        sentence: The whole decision in a sentence with the numbers.
        differences: Other method -> NDCG@20 of the funnel minus NDCG@20 of that method.
    """

    release: bool
    evidence: Literal["strong", "weak"]
    passed: bool
    verdict: str
    reasons: tuple[str, ...]
    sentence: str
    differences: Mapping[str, Interval]


def decide(
    values: Mapping[str, npt.NDArray[np.float64]],
    *,
    served: Served | None = None,
    mode: Mode = "refuse",
    seed: int = 0,
) -> GateDecision:
    """Decide on a release.

    Args:
        values: Method -> NDCG@20 of each test user [q], same users in the same order; must hold `funnel`. Methods
            that do not apply are left out.
        served: The comparison with the served bundle, None if there is no such comparison.
        mode: `warn` releases in spite of reasons against it; `measure` releases nothing and says what would happen.
        seed: Seed of the bootstrap.
    """
    num_users = len(values[FUNNEL])
    if num_users < ENOUGH_USERS:
        verdict = "would be released" if mode == "measure" else "released"
        sentence = f"{verdict} on weak evidence: {num_users} test users, {ENOUGH_USERS} are needed for a comparison"
        return GateDecision(mode != "measure", "weak", True, verdict, (), _measured(mode) + sentence, {})
    resampled = resample(values, seed=seed)
    differences = {name: resampled.difference(FUNNEL, name) for name in values if name != FUNNEL}
    means = {name: resampled.interval(name).mean for name in values}
    behind = sorted((gap.mean, name) for name, gap in differences.items() if gap.below_zero)
    reasons = [_below(name, means[FUNNEL], means[name], differences[name]) for _, name in behind]
    beats_popular = differences.get(POPULAR)
    if beats_popular is not None and not beats_popular.above_zero and not beats_popular.below_zero:
        reasons.append(_not_above_popular(means[FUNNEL], means[POPULAR], beats_popular))
    if served is not None and len(served.candidate) >= ENOUGH_USERS:
        pair = resample({FUNNEL: served.candidate, "served": served.served}, seed=seed)
        difference = pair.difference(FUNNEL, "served")
        differences[f"served {served.version}"] = difference
        new, old = pair.interval(FUNNEL).mean, pair.interval("served").mean
        if difference.high < -TOLERATED_LOSS * old:
            reasons.append(_below(f"the served bundle {served.version}", new, old, difference))
    if not reasons:
        margin = "" if beats_popular is None else f", above popular by {_interval(beats_popular)}"
        verdict = "would be released" if mode == "measure" else "released"
        sentence = (
            f"{_measured(mode)}{verdict}: funnel's NDCG@20 is {means[FUNNEL]:.4f} over {num_users:,} users{margin}"
        )
        return GateDecision(mode != "measure", "strong", True, verdict, (), sentence, differences)
    named = "; ".join(reasons[:NUM_TOLD]) + (f"; and {len(reasons) - NUM_TOLD} more" if len(reasons) > NUM_TOLD else "")
    verdict = {"refuse": "not released", "warn": "released", "measure": "would not be released"}[mode]
    because = " by gate=warn although" if mode == "warn" else ":"
    sentence = f"{_measured(mode)}{verdict}{because} {named}"
    return GateDecision(mode == "warn", "strong", False, verdict, tuple(reasons), sentence, differences)


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
    return f"{difference.mean:+.4f} (95 % interval {difference.low:+.4f} to {difference.high:+.4f})"
