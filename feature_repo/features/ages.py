"""How long ago things were: days between moments, and counts that fade with them.

Owns the arithmetic of ages that retrieval, snapshots' readers and ranker features share, so that they cannot differ.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from feature_repo.dataset.split import DAY
from feature_repo.features.state import FloatArray, TimeArray

SMALLEST_SPREAD = 1e-6  # half-lives; events closer together are one moment


def days_between(earlier: TimeArray, later: TimeArray) -> npt.NDArray[np.float64]:
    """Days from unix seconds [n] to unix seconds [n]; NaN where either is."""
    days: npt.NDArray[np.float64] = (later - earlier) / DAY
    return days


def decayed_count(
    counts: FloatArray, first: TimeArray, last: TimeArray, now: TimeArray, half_life_days: float
) -> npt.NDArray[np.float64]:
    """Events that fade, as if those before the last were spread evenly from the first to the last.

    Args:
        counts: Events [n], at least 1.
        first: Unix seconds of the first [n].
        last: Unix seconds of the latest [n].
        now: Unix seconds to fade up to [n].
        half_life_days: Days in which an event loses half its weight.

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
