"""Logged slates whose items were drawn in turn, and the probability of every item at every position.

`propensity` is the probability that an item is shown at its position, given the items above it. A policy that draws
without replacement in proportion to fixed weights (Plackett-Luce) could have shown the same items in any other order,
and the propensities of a slate give the probability of each order. So the logged order is an experiment: no item needs
to be shown twice. Only the first positions of a slate are used, because the sum over orders takes 2^m steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from components.evaluation.impressions.metrics import Judged
from components.replay.groups import Groups

FloatArray64 = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
MOST_POSITIONS = 10
_AT_ONCE = 1_000  # slates in a step of the sum, 8 KB each for ten items


@dataclass(frozen=True, slots=True)
class LoggedSlates:
    """Impressions of slates as columns.

    Attributes:
        users: User code [n].
        slates: Slate code [n].
        positions: Position in the slate, 0 is the top, -1 if unknown [n].
        propensities: See the module, NaN if unknown [n].
        clicks: 1 where the first objective was reached [n].
    """

    users: Int64Array
    slates: Int64Array
    positions: npt.NDArray[np.int32]
    propensities: FloatArray64
    clicks: npt.NDArray[np.int8]

    @classmethod
    def of(cls, groups: Groups) -> Self:
        """The shown items of groups of requests."""
        shown = np.flatnonzero(groups.shown)
        slates = np.repeat(np.arange(len(groups)), np.diff(groups.offsets))[shown]
        users = np.unique(np.array([query.user_id for query in groups.queries], dtype=str), return_inverse=True)[1]
        return cls(
            users=users.astype(np.int64)[slates],
            slates=slates,
            positions=groups.positions[shown],
            propensities=groups.propensities[shown],
            clicks=groups.labels[shown, 0],
        )

    @classmethod
    def judged(cls, judged: Judged) -> Self:
        """The scored impressions, in the same order."""
        return cls(judged.users, judged.slates, judged.positions, judged.propensities, judged.labels[:, 0])

    def blocks(self) -> list[Int64Array]:
        """Impressions of the usable slates by length: places [s, m] into the columns, by position.

        A slate is usable if it has at least two items, no gap between the positions that count, and a propensity below
        1 at each of them: an item that had to be shown at its position says nothing about other positions.
        """
        order = np.lexsort((self.positions, self.slates))
        slates = self.slates[order]
        starts = np.flatnonzero(np.r_[True, slates[1:] != slates[:-1]]) if len(order) else np.zeros(0, dtype=np.int64)
        sizes = np.diff(np.append(starts, len(order)))
        blocks = []
        for length in range(2, MOST_POSITIONS + 1):
            mine = sizes >= length if length == MOST_POSITIONS else sizes == length
            places = order[starts[mine][:, None] + np.arange(length)]
            drawn = self.propensities[places]
            with np.errstate(invalid="ignore"):
                usable = ((drawn > 0) & (drawn < 1)).all(axis=1) & (self.positions[places] == np.arange(length)).all(
                    axis=1
                )
            if usable.any():
                blocks.append(places[usable])
        return blocks


def place_probabilities(propensities: FloatArray64) -> FloatArray64:
    """Probability that an item stands at a position, given the items of its slate.

    The weight of an item, as a share of all weights, is its propensity times the share that the items above it leave.
    Then the probability that a set of items comes first follows from its subsets (dynamic programming), and an item
    stands at position k if a set of k items comes first, the item follows, and the rest completes the slate.

    Args:
        propensities: Of each slate by position, each in (0, 1) [s, m].

    Returns:
        Probabilities of the item at logged position i at position k [s, m, m]; rows and columns of a slate sum to 1.
    """
    parts = [_places(propensities[at : at + _AT_ONCE]) for at in range(0, len(propensities), _AT_ONCE)]
    length = propensities.shape[1]
    return np.concatenate([np.zeros((0, length, length)), *parts])


def _places(propensities: FloatArray64) -> FloatArray64:
    num, length = propensities.shape
    left = np.cumprod(1.0 - propensities, axis=1)
    weights = (propensities * np.concatenate([np.ones((num, 1)), left[:, :-1]], axis=1)).T  # [m, s]
    subsets = np.arange(1 << length)
    members = (subsets[:, None] >> np.arange(length)) & 1  # [subsets, m]
    remaining = np.maximum(1.0 - members @ weights, np.finfo(np.float64).tiny)  # [subsets, s]
    first, last = np.zeros_like(remaining), np.zeros_like(remaining)  # of a set to come first, of the rest to follow
    first[0], last[-1] = 1.0, 1.0
    size = members.sum(axis=1)
    steps = [(k, item, subsets[(size == k) & (members[:, item] == 0)]) for k in range(length) for item in range(length)]
    for _, item, sets in steps:
        first[sets | (1 << item)] += first[sets] / remaining[sets] * weights[item]
    probabilities = np.zeros((num, length, length))
    for k, item, sets in reversed(steps):
        follow = last[sets | (1 << item)] / remaining[sets] * weights[item]
        last[sets] += follow
        probabilities[:, item, k] = np.einsum("as,as->s", first[sets], follow)
    probabilities /= first[-1][:, None, None]
    return probabilities
