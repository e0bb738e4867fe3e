"""Percentile bootstrap over several units: confidence intervals of means and of paired differences of means.

A metric varies with the users who ask, with the items they take, and with the days. An interval over users alone is too
narrow where a few items or a day decide for many users. So each unit is resampled by itself as whole clusters of
observations, and the widest interval counts. Resampling users and items of one table is Owen, "The pigeonhole
bootstrap" (2007); the exact variance has no bootstrap, and the widest single unit is its largest component.

All methods are resampled with the same draws, so differences are paired (Sakai 2006). Deterministic for a given seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

NUM_RESAMPLES = 2_000
FEWEST_CLUSTERS = 3  # fewer clusters of days or items say nothing about their variation
USERS = "users"
_DRAWS_AT_ONCE = 4_000_000

FloatArray64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % confidence interval.

    Attributes:
        mean: The mean.
        low, high: Bounds of the interval.
        unit: The resampled unit with this interval, the widest of all units.
    """

    mean: float
    low: float
    high: float
    unit: str = USERS

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval is positive."""
        return self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval is negative."""
        return self.high < 0


@dataclass(frozen=True, slots=True)
class Scores:
    """A metric of several methods, split over the same n observations, such as the relevant items of all users.

    The mean of a method is sum(values) / sum(sizes).

    Attributes:
        values: Method -> part of the metric of each observation [n].
        sizes: Weight of each observation [n]; the weights of a user's observations add up to 1.
        units: Unit -> cluster of each observation, any codes [n]; must hold `users`.
    """

    values: Mapping[str, FloatArray64]
    sizes: FloatArray64
    units: Mapping[str, npt.NDArray[np.integer]]

    @property
    def num_users(self) -> int:
        """Number of distinct users."""
        return len(np.unique(self.units[USERS]))


@dataclass(frozen=True, slots=True)
class Resampled:
    """Bootstrap means of several methods under the same draws.

    Attributes:
        names: Names of the methods.
        means: Means over all observations [methods].
        draws: Unit -> means of every resample [resamples, methods].
    """

    names: tuple[str, ...]
    means: FloatArray64
    draws: Mapping[str, FloatArray64] = field(repr=False)

    def interval(self, name: str) -> Interval:
        """The 95 % interval of a method's mean."""
        column = self.names.index(name)
        return self._widest(self.means[column], {unit: draws[:, column] for unit, draws in self.draws.items()})

    def difference(self, name: str, other: str) -> Interval:
        """The 95 % interval of mean(name) - mean(other), paired."""
        left, right = self.names.index(name), self.names.index(other)
        gaps = {unit: draws[:, left] - draws[:, right] for unit, draws in self.draws.items()}
        return self._widest(self.means[left] - self.means[right], gaps)

    @staticmethod
    def _widest(mean: np.floating | float, draws: Mapping[str, FloatArray64]) -> Interval:
        bounds = {unit: np.percentile(column, (2.5, 97.5)) for unit, column in draws.items()}
        unit = max(bounds, key=lambda name: float(bounds[name][1] - bounds[name][0]))
        low, high = bounds[unit]
        return Interval(float(mean), float(low), float(high), unit)


def resample(scores: Scores, *, resamples: int = NUM_RESAMPLES, seed: int = 0) -> Resampled:
    """Draws the clusters of each unit with replacement and averages every method over each draw.

    Args:
        scores: The observations and their units. A unit other than `users` with fewer than `FEWEST_CLUSTERS` clusters
            is left out.
        resamples: Number of draws of each unit.
        seed: Seed of the draws.

    Raises:
        ValueError: There are no observations.
    """
    if not len(scores.sizes):
        raise ValueError("A bootstrap needs at least one user.")
    names = tuple(scores.values)
    table = np.stack([*scores.values.values(), scores.sizes], axis=1)
    total = table.sum(axis=0)
    means = total[:-1] / total[-1]
    draws: dict[str, FloatArray64] = {}
    for unit, codes in scores.units.items():
        clusters = _summed(table, codes)
        if unit == USERS:
            draws[unit] = _draw(clusters, resamples, seed)
        elif len(clusters) >= FEWEST_CLUSTERS:
            # A sample variance divides by the number of clusters less one; few or unequal clusters need that.
            share = clusters[:, -1] / total[-1]
            spread = 1.0 / np.sqrt(1.0 - share @ share)
            draws[unit] = means + spread * (_draw(clusters, resamples, seed) - means)
    return Resampled(names, means, draws)


def _summed(table: FloatArray64, codes: npt.NDArray[np.integer]) -> FloatArray64:
    """Sums of the rows of each cluster [clusters, columns]."""
    cluster, number = np.unique(codes, return_inverse=True)
    return np.stack([np.bincount(number, column, len(cluster)) for column in table.T], axis=1)


def _draw(clusters: FloatArray64, resamples: int, seed: int) -> FloatArray64:
    """Means of every resample [resamples, methods]; the last column of `clusters` holds their sizes."""
    rng = np.random.default_rng(seed)
    num = len(clusters)
    sums = np.empty((resamples, clusters.shape[1]))
    step = max(1, _DRAWS_AT_ONCE // num)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        picks = rng.integers(0, num, (size, num)) + np.arange(size)[:, None] * num
        weights = np.bincount(picks.ravel(), minlength=size * num).reshape(size, num)
        sums[start : start + size] = weights @ clusters
    return sums[:, :-1] / sums[:, -1:]
