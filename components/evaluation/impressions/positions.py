"""The position curve: how often users examine each position of a slate, compared with the first position.

Position-based model: P(click) = P(examined at the position) x P(click | examined, item, user). A click rate by position
confounds both factors, because a policy shows better items further up. The orders that the policy could have drawn are
the experiment (`slates.py`): a click at a position, divided by the probability that its item stood there, has the
expectation of the position's examination times the sum of the slate's click probabilities (intervention harvesting:
Agarwal et al., "Estimating position bias without intrusive interventions", WSDM 2019, with known propensities).

Slates of one length share the second factor, so the model is a product of a factor for each length and one for each
position, fitted by maximum likelihood for Poisson counts (iterative proportional fitting).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluation.bootstrap import USERS, Scores, resample
from components.evaluation.impressions.slates import MOST_POSITIONS, LoggedSlates, place_probabilities

FloatArray64 = npt.NDArray[np.float64]
FEWEST_CLICKS = 50  # at a position, for the position to be in the curve
NUM_RESAMPLES = 500
_ROUNDS = 60


@dataclass(frozen=True, slots=True)
class PositionCurve:
    """Examination of the first p positions, the first position as 1.

    Attributes:
        examination: Estimate [p].
        low, high: 95 % interval by bootstrap over users [p].
        click_rates: Clicks over impressions, without any correction [p].
        impressions, clicks: Numbers behind the estimate [p].
        effective: Effective number of impressions, (sum of weights)^2 / sum of squared weights [p].
    """

    examination: FloatArray64
    low: FloatArray64
    high: FloatArray64
    click_rates: FloatArray64
    impressions: npt.NDArray[np.int64]
    clicks: npt.NDArray[np.int64]
    effective: FloatArray64

    def content(self) -> dict[str, Any]:
        """The columns as lists, for `evaluation.json`."""
        return {name: getattr(self, name).tolist() for name in self.__slots__}


def estimate_positions(slates: LoggedSlates, *, seed: int = 0) -> PositionCurve | None:
    """The position curve of logged slates; None if fewer than two positions have enough clicks.

    Args:
        slates: Impressions with positions, propensities and clicks.
        seed: Seed of the bootstrap.
    """
    blocks = slates.blocks()
    shape = (len(blocks), MOST_POSITIONS)
    counted, clicked = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    weights, squares = np.zeros(shape), np.zeros(shape)
    parts, users = [], []
    for number, places in enumerate(blocks):
        length = places.shape[1]
        clicks = slates.clicks[places] > 0
        weight = 1.0 / np.einsum("skk->sk", place_probabilities(slates.propensities[places])) / length
        cells = np.zeros((len(places), *shape))
        cells[:, number, :length] = weight * clicks
        parts.append(cells.reshape(len(places), -1))
        users.append(slates.users[places[:, 0]])
        counted[number, :length], clicked[number, :length] = len(places), clicks.sum(axis=0)
        weights[number, :length], squares[number, :length] = weight.sum(axis=0), (weight**2).sum(axis=0)
    enough = clicked.sum(axis=0) >= FEWEST_CLICKS
    num = MOST_POSITIONS if enough.all() else int(np.argmin(enough))
    if num < 2:
        return None
    drawn = resample(_scores(np.concatenate(parts), np.concatenate(users)), resamples=NUM_RESAMPLES, seed=seed)
    shown = counted > 0
    examination = _examination(drawn.means.reshape(1, *shape), shown)[0]
    draws = _examination(drawn.draws[USERS].reshape(-1, *shape), shown)
    low, high = np.percentile(draws, (2.5, 97.5), axis=0)
    with np.errstate(invalid="ignore"):
        rates, effective = clicked.sum(axis=0) / counted.sum(axis=0), weights.sum(axis=0) ** 2 / squares.sum(axis=0)
    return PositionCurve(
        examination=examination[:num],
        low=low[:num],
        high=high[:num],
        click_rates=rates[:num],
        impressions=counted.sum(axis=0)[:num],
        clicks=clicked.sum(axis=0)[:num],
        effective=effective[:num],
    )


def _scores(cells: FloatArray64, users: npt.NDArray[np.int64]) -> Scores:
    """Weighted clicks by length and position of each user, so that the bootstrap draws users."""
    names = [str(cell) for cell in range(cells.shape[1])]
    values = dict(zip(names, cells.T, strict=True))
    return Scores(values, np.ones(len(users)), {USERS: users})


def _examination(clicks: FloatArray64, shown: npt.NDArray[np.bool_]) -> FloatArray64:
    """Position factors [b, positions] of weighted clicks [b, lengths, positions], the first position as 1.

    Args:
        clicks: Zero where a length lacks a position.
        shown: Whether slates of a length have a position [lengths, positions].
    """
    factors = np.ones((len(clicks), clicks.shape[2]))
    for _ in range(_ROUNDS):
        lengths = clicks.sum(axis=2) / np.maximum(factors @ shown.T, np.finfo(np.float64).tiny)
        factors = clicks.sum(axis=1) / np.maximum(lengths @ shown, np.finfo(np.float64).tiny)
    examination: FloatArray64 = factors / np.maximum(factors[:, :1], np.finfo(np.float64).tiny)
    return examination
