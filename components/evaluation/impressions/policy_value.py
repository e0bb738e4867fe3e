"""What the new ranker's order of logged slates would have earned: clicks a slate, estimated off-policy.

The evaluated policy shows the items of a logged slate in the order of the ranker's scores. A click depends on the item
and its position (item-position model: Li et al., "Offline evaluation of ranking policies with click models", KDD 2018).
So an impression whose item keeps its position counts, weighted by the inverse probability that the logging policy put
the item there (`slates.py`); the expected sum of the weights of a slate is its number of items. Estimators:

- `snips` divides by the sum of the weights (Swaminathan and Joachims, "The self-normalized estimator for counterfactual
  learning", NeurIPS 2015).
- `doubly_robust` adds weighted errors to a model of clicks, the calibrated probability times the position curve (Dudik,
  Langford and Li, "Doubly robust policy evaluation and learning", ICML 2011).

Intervals are bootstraps over users. Only the first positions of a slate are ordered, see `slates.py`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluation.bootstrap import USERS, Interval, Resampled, Scores, resample
from components.evaluation.impressions.slates import MOST_POSITIONS, LoggedSlates, place_probabilities

FloatArray64 = npt.NDArray[np.float64]
FEWEST_EFFECTIVE = 200  # impressions; with fewer there is no estimate
NUM_RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """Clicks a slate under the ranker's order.

    Attributes:
        logged: Clicks a slate under the logged order.
        snips, doubly_robust: The estimates.
        lead: `doubly_robust` minus `logged`, paired.
        slates: Number of slates.
        impressions: Their impressions at the positions that count.
        kept: Impressions whose item keeps its position.
        effective: Effective number of impressions, (sum of weights)^2 / sum of squared weights.
    """

    logged: Interval
    snips: Interval
    doubly_robust: Interval
    lead: Interval
    slates: int
    impressions: int
    kept: int
    effective: float

    def content(self) -> dict[str, Any]:
        """The fields as `evaluation.json` holds them."""
        return asdict(self)


def estimate_value(
    slates: LoggedSlates,
    scores: FloatArray64,
    probabilities: FloatArray64,
    examination: FloatArray64 | None = None,
    *,
    resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> PolicyValue | None:
    """The value of ordering slates by score; None with fewer than `FEWEST_EFFECTIVE` effective impressions.

    Args:
        slates: Impressions with positions, propensities and clicks [n].
        scores: Score of each impression; higher is shown further up [n].
        probabilities: Probability of a click on each impression, regardless of its position [n].
        examination: Examination of the first positions, for the model of clicks; later positions equal the last one.
            None for a model without positions.
        resamples: Number of draws of the bootstrap.
        seed: Seed of the bootstrap.
    """
    curve = np.ones(MOST_POSITIONS) if examination is None else _extended(examination)
    parts = [_per_slate(places, slates, scores, probabilities, curve) for places in slates.blocks()]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    squares = float(columns["squares"].sum()) if columns else 0.0
    effective = float(columns["weights"].sum()) ** 2 / squares if squares else 0.0
    if effective < FEWEST_EFFECTIVE:
        return None
    users = columns["users"].astype(np.int64)
    values = {name: columns[name] for name in ("logged", "weighted", "weights", "items", "doubly_robust")}
    drawn = resample(Scores(values, np.ones(len(users)), {USERS: users}), resamples=resamples, seed=seed)
    return PolicyValue(
        logged=drawn.interval("logged"),
        snips=_self_normalised(drawn),
        doubly_robust=drawn.interval("doubly_robust"),
        lead=drawn.difference("doubly_robust", "logged"),
        slates=len(users),
        impressions=int(columns["items"].sum()),
        kept=int(columns["kept"].sum()),
        effective=effective,
    )


def _per_slate(
    places: npt.NDArray[np.int64],
    slates: LoggedSlates,
    scores: FloatArray64,
    probabilities: FloatArray64,
    curve: FloatArray64,
) -> dict[str, FloatArray64]:
    """Sums of s slates of one length [s, m], by name [s]."""
    num, length = places.shape
    rank = np.argsort(np.argsort(-scores[places], axis=1, kind="stable"), axis=1)
    kept = rank == np.arange(length)
    at = np.einsum("skk->sk", place_probabilities(slates.propensities[places]))
    weights = np.where(kept, 1.0 / at, 0.0)
    clicks = (slates.clicks[places] > 0).astype(np.float64)
    relative = curve[:length] / curve[:length].mean()
    model = probabilities[places]
    errors = weights * (clicks - model * relative)
    return {
        "users": slates.users[places[:, 0]].astype(np.float64),
        "logged": clicks.sum(axis=1),
        "weighted": (weights * clicks).sum(axis=1),
        "weights": weights.sum(axis=1),
        "squares": (weights**2).sum(axis=1),
        "items": np.full(num, float(length)),
        "kept": kept.sum(axis=1).astype(np.float64),
        "doubly_robust": (model * relative[rank] + errors).sum(axis=1),
    }


def _self_normalised(drawn: Resampled) -> Interval:
    """Weighted clicks over weights, times the mean number of items of a slate."""

    def ratio(means: FloatArray64) -> FloatArray64:
        weighted, weights, items = (means[..., drawn.names.index(name)] for name in ("weighted", "weights", "items"))
        found: FloatArray64 = weighted / weights * items
        return found

    low, high = np.percentile(ratio(drawn.draws[USERS]), (2.5, 97.5))
    return Interval(float(ratio(drawn.means)), float(low), float(high))


def _extended(examination: FloatArray64) -> FloatArray64:
    """The curve for `MOST_POSITIONS` positions."""
    return np.concatenate([examination, np.full(MOST_POSITIONS - len(examination), examination[-1])])
