"""Percentile bootstrap over users: confidence intervals of means and of paired differences of means.

All methods are resampled with the same draws, so differences are paired (Sakai 2006). Deterministic for a given seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_RESAMPLES = 2_000
_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval is positive."""
        return self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval is negative."""
        return self.high < 0


@dataclass(frozen=True, slots=True)
class Resampled:
    """Bootstrap means of several methods under the same draws.

    Attributes:
        names: Names of the methods.
        means: Means over all users [methods].
        draws: Means of every resample [resamples, methods].
    """

    names: tuple[str, ...]
    means: npt.NDArray[np.float64]
    draws: npt.NDArray[np.float64]

    def interval(self, name: str) -> Interval:
        """The 95 % interval of a method's mean."""
        column = self.names.index(name)
        return _interval(self.means[column], self.draws[:, column])

    def difference(self, name: str, other: str) -> Interval:
        """The 95 % interval of mean(name) - mean(other), paired by user."""
        left, right = self.names.index(name), self.names.index(other)
        return _interval(self.means[left] - self.means[right], self.draws[:, left] - self.draws[:, right])


def resample(
    values: Mapping[str, npt.NDArray[np.float64]], *, resamples: int = NUM_RESAMPLES, seed: int = 0
) -> Resampled:
    """Draws users with replacement and averages every method over each draw.

    Args:
        values: Method -> metric of each user [q], users in the same order.
        resamples: Number of draws.
        seed: Seed of the draws.

    Raises:
        ValueError: There are no users, or the methods have different numbers of users.
    """
    names = tuple(values)
    table = np.stack([values[name] for name in names], axis=1)
    num = len(table)
    if num == 0:
        raise ValueError("A bootstrap needs at least one user.")
    rng = np.random.default_rng(seed)
    draws = np.empty((resamples, len(names)))
    step = max(1, _DRAWS_AT_ONCE // num)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        picks = rng.integers(0, num, (size, num)) + np.arange(size)[:, None] * num
        weights = np.bincount(picks.ravel(), minlength=size * num).reshape(size, num)
        draws[start : start + size] = weights @ table / num
    return Resampled(names, table.mean(axis=0), draws)


def _interval(mean: np.floating | float, draws: npt.NDArray[np.float64]) -> Interval:
    low, high = np.percentile(draws, (2.5, 97.5))
    return Interval(float(mean), float(low), float(high))
