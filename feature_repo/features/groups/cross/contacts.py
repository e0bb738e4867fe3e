"""Look-ups in user histories for many candidates at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feature_repo.features.groups.cross_group import IndexArray
from feature_repo.features.state import History, OffsetArray, TimeArray


def contacts(
    history: History,
    values: npt.NDArray[np.int32],
    wanted: npt.NDArray[np.int32],
    query_index: IndexArray,
    num_values: int,
) -> tuple[npt.NDArray[np.int64], TimeArray]:
    """Number of events of the query's user with the wanted value, and time of the latest of these events.

    Args:
        history: Events of q users, oldest first within a user [h].
        values: Value of each event, 0 <= value < num_values [h].
        wanted: Wanted value of each candidate [n].
        query_index: Query of each candidate [n].
        num_values: Number of distinct values.

    Returns:
        Counts [n] and times [n], NaN where the count is 0.
    """
    keys = owners(history.offsets) * num_values + values
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.int64), np.full(len(wanted), np.nan)
    order = np.argsort(keys, kind="stable")  # stable, so that the latest event of a key stays last
    keys, times = keys[order], history.times[order]
    candidate_keys = query_index * num_values + wanted
    start = np.searchsorted(keys, candidate_keys, side="left")
    stop = np.searchsorted(keys, candidate_keys, side="right")
    counts = stop - start
    return counts, np.where(counts > 0, times[np.maximum(stop - 1, 0)], np.nan)


def owners(offsets: OffsetArray) -> IndexArray:
    """Query of each entry of a ragged column."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
