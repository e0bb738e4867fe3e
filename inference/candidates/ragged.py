"""Ragged columns: n elements owned by q owners, `offsets[i]:offsets[i + 1]` each.

The recommender's stages are batches of such columns; these are the few operations they share. No Python loop runs over
owners or elements.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import OffsetArray

Index = npt.NDArray[np.int64]


def offsets_from_owners(owners: npt.NDArray[np.integer], num_owners: int) -> OffsetArray:
    """Offsets [num_owners + 1] of elements whose owners [n] stand in ascending order."""
    offsets = np.zeros(num_owners + 1, dtype=np.int64)
    np.cumsum(np.bincount(owners, minlength=num_owners), out=offsets[1:])
    return offsets


def owners_from_offsets(offsets: OffsetArray) -> Index:
    """Owner of each element [n]."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def ranks(offsets: OffsetArray) -> Index:
    """Position of each element within its owner [n], from 0."""
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def best(owners: npt.NDArray[np.integer], scores: npt.NDArray[np.floating], k: int, num_owners: int) -> Index:
    """Positions of each owner's k highest scores, by owner and then best first.

    Args:
        owners: Owner of each element [n], ascending.
        scores: Finite, higher is better [n]; equal scores keep the given order.
        k: Positions wanted an owner.
        num_owners: q.
    """
    order = np.lexsort((-scores, owners))
    offsets = offsets_from_owners(owners, num_owners)
    return order[ranks(offsets) < k]


def contains(keys: npt.NDArray[np.int64], sorted_keys: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether each key [n] is among `sorted_keys` [k], ascending."""
    if len(sorted_keys) == 0:
        return np.zeros(len(keys), dtype=np.bool_)
    found = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    mask: npt.NDArray[np.bool_] = sorted_keys[found] == keys
    return mask
