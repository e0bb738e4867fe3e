"""Stops the trees on some users' queries and compares them on the other users' queries.

The number of trees that orders some queries best also fits their noise, so its figure on the same queries is too high.
The users are split at random into two halves. The queries of each half are ordered by as many trees as are best for the
other half, so that all queries compare the trees with other orders. The served trees are stopped on all queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from components.ranking.judging import DEPTH, JudgedQueries

METRIC = f"ndcg@{DEPTH}"
FEWEST_QUERIES = 100  # with fewer, half of the queries says little about the number of trees
HALVES = (0, 1)

HalfArray = npt.NDArray[np.int8]


def halve(user_ids: npt.NDArray[np.object_], seed: int) -> HalfArray | None:
    """The half of each query [g], the same for all queries of a user; the halves have equally many users.

    Args:
        user_ids: User of each query [g].
        seed: Seed of the split.

    Returns:
        0 or 1 [g]; None for fewer than `FEWEST_QUERIES` queries or for a single user.
    """
    users, codes = np.unique(user_ids.astype(str), return_inverse=True)
    if len(user_ids) < FEWEST_QUERIES or len(users) < len(HALVES):
        return None
    sides = np.arange(len(users), dtype=np.int8) % len(HALVES)
    return np.random.default_rng(seed).permutation(sides)[codes]


@dataclass(frozen=True, slots=True)
class Stops:
    """Numbers of trees, at least 1.

    Attributes:
        trees: Best for all queries.
        ndcg: NDCG of all queries with these trees.
        by_half: Best for the queries of each half.
    """

    trees: int
    ndcg: float
    by_half: tuple[int, int]


@dataclass
class StoppingCurve:
    """NDCG of the judged queries, and of each half of them, after every tree.

    Attributes:
        judged: The queries.
        halves: Half of each query [g], None if all queries stop the trees that are compared on them.
    """

    judged: JudgedQueries
    halves: HalfArray | None
    _means: dict[int, list[float]] = field(default_factory=lambda: {half: [] for half in HALVES})
    _all: list[float] = field(default_factory=list)

    def __call__(self, scores: npt.NDArray[np.float64], _: lgb.Dataset) -> tuple[str, float, bool]:
        """The metric that LightGBM stops on; notes the figures of the halves."""
        values = self.judged.ndcg(scores)
        self._all.append(float(values.mean()))
        for half, means in self._means.items():
            means.append(self._all[-1] if self.halves is None else float(values[self.halves == half].mean()))
        return METRIC, self._all[-1], True

    def stops(self) -> Stops:
        """The numbers of trees, the smallest of equally good ones."""
        first, second = (_highest(self._means[half]) for half in HALVES)
        trees = _highest(self._all)
        return Stops(trees, self._all[trees - 1], (first, second))


def _highest(values: Sequence[float]) -> int:
    return int(np.argmax(values)) + 1
