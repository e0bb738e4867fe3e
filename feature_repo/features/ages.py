"""Ages of things: which columns are ages, days between moments, and counts that decay with age.

Retrieval, the readers of snapshots and the ranker's features share this arithmetic, so that they cannot differ.

Ages are computed at the time of the query. The snapshots store the moment, in unix seconds, that an age counts from.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feature_repo.dataset.split import DAY
from feature_repo.features.state import FloatArray, TimeArray

AGE_PREFIX = "days_since_"
ITEM_AGE, ITEM_MOMENT = "age_days", "created_at"
SMALLEST_SPREAD = 1e-6  # half-lives; events closer together count as simultaneous


def moment_of(name: str) -> str | None:
    """The stored moment that an age column counts from; None for a column that is not an age.

    `days_since_<event>` counts from `<event>_at`, and an item's `age_days` from `created_at`.
    """
    if name == ITEM_AGE:
        return ITEM_MOMENT
    event = name.removeprefix(AGE_PREFIX)
    return None if event == name else f"{event}_at"


def days_between(earlier: TimeArray, later: TimeArray) -> npt.NDArray[np.float64]:
    """Days from `earlier` to `later`, both unix seconds [n]; NaN if either is NaN."""
    days: npt.NDArray[np.float64] = (later - earlier) / DAY
    return days


def decayed_count(
    counts: FloatArray, first: TimeArray, last: TimeArray, now: TimeArray, half_life_days: float
) -> npt.NDArray[np.float64]:
    """Decayed number of events, as if those before the last were spread evenly from the first to the last.

    Args:
        counts: Events [n], at least 1.
        first: Unix seconds of the first event [n].
        last: Unix seconds of the latest event [n].
        now: Unix seconds of the time to decay to [n].
        half_life_days: Days in which an event loses half of its weight.

    Returns:
        2^-age of the latest plus (counts - 1) times the mean of 2^-age over the spread, ages in half-lives [n].
    """
    newest = np.maximum(days_between(last, now), 0.0) / half_life_days
    oldest = np.maximum(days_between(first, now), newest * half_life_days) / half_life_days
    spread = np.log(2.0) * (oldest - newest)
    latest = np.exp2(-newest)
    mean = latest.copy()
    np.divide(latest - np.exp2(-oldest), spread, out=mean, where=spread > SMALLEST_SPREAD)
    faded: npt.NDArray[np.float64] = latest + np.maximum(counts - 1.0, 0.0) * mean
    return faded
