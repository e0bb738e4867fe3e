"""Ragged columns: n elements of q owners; owner i has the elements `offsets[i]:offsets[i + 1]`.

These are the operations on ragged columns that the stages share. No Python loop runs over owners or elements.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import OffsetArray

Index = npt.NDArray[np.int64]


def offsets_from_owners(owners: npt.NDArray[np.integer], num_owners: int) -> OffsetArray:
    """Returns the offsets [num_owners + 1] of elements with ascending owners [n]."""
    offsets = np.zeros(num_owners + 1, dtype=np.int64)
    np.cumsum(np.bincount(owners, minlength=num_owners), out=offsets[1:])
    return offsets


def owners_from_offsets(offsets: OffsetArray) -> Index:
    """Returns the owner of each element [n]."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def ranks(offsets: OffsetArray) -> Index:
    """Returns the position of each element within its owner [n], from 0."""
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def best(owners: npt.NDArray[np.integer], scores: npt.NDArray[np.floating], k: int, num_owners: int) -> Index:
    """Returns the positions of each owner's k highest scores, by owner and then best first.

    Args:
        owners: Owner of each element [n], ascending.
        scores: Finite, higher is better [n]; equal scores keep the given order.
        k: Largest number of positions per owner.
        num_owners: Number of owners q.
    """
    order = np.lexsort((-scores, owners))
    offsets = offsets_from_owners(owners, num_owners)
    return order[ranks(offsets) < k]


def contains(keys: npt.NDArray[np.int64], sorted_keys: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Returns whether each key [n] is in `sorted_keys` [k], which must be ascending."""
    if len(sorted_keys) == 0:
        return np.zeros(len(keys), dtype=np.bool_)
    found = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    mask: npt.NDArray[np.bool_] = sorted_keys[found] == keys
    return mask
