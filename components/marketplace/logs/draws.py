"""Random draws that both logs share: items by weight, and counts with a long tail."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.marketplace.world.catalogue import Floats, Ints
from components.marketplace.world.chance import FloatColumn

Flags = npt.NDArray[np.bool_]


def drawn(random: np.random.Generator, weights: Floats) -> Ints:
    """One column [n] for each row of non-negative weights [n, m], in proportion to the weights.

    Every row needs a positive weight.
    """
    sums = np.cumsum(weights, axis=1)
    # The random number is above 0, so that a column of weight 0 is never drawn.
    levels = (1.0 - random.random(len(weights), dtype=sums.dtype)) * sums[:, -1]
    column: Ints = (sums < levels[:, None]).sum(axis=1)
    return column


def best(weights: Floats, count: int) -> Ints:
    """Columns of the highest weights of each row [n, at most count], highest first."""
    count = min(count, weights.shape[1])
    top = np.argpartition(-weights, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(weights, top, axis=1), axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1)


def long_tailed(random: np.random.Generator, num: int, mean: float, spread: float, bounds: tuple[int, int]) -> Ints:
    """Log-normal whole numbers [num] within bounds, with the given mean.

    Args:
        random: Source of the draws.
        num: How many numbers.
        mean: Mean of the clipped numbers.
        spread: Standard deviation of the logarithm.
        bounds: Lowest and highest number.
    """
    shape: FloatColumn = np.exp(spread * random.standard_normal(num))
    low, high = 0.0, mean * 100.0
    for _ in range(60):  # bisection, because clipping moves the mean
        middle = (low + high) / 2
        if np.clip(shape * middle, *bounds).mean() < mean:
            low = middle
        else:
            high = middle
    return np.rint(np.clip(shape * high, *bounds)).astype(np.int64)
