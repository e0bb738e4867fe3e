"""Time scales of a log: how long items live, how long visits last, and when users return.

Ingest measures them once, from the clean positive events, and writes them into `dataset.json`. The cadence of the
snapshots, the windows of item counts and the half-lives of popularity follow from them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

LIFE = (0.1, 0.9)  # quantiles of the times of an item's events between which it lives
FEWEST_EVENTS = 5  # of an item whose life is measured
VISIT_GAP = 1800.0  # seconds without an event that end a visit, for events without a session


class TimeScales(BaseModel):
    """Durations in seconds.

    Attributes:
        item_life: See `item_life`.
        visit_length: Median time between the first and the last event of a visit with several; None without one.
        return_time: Median time between the end of a visit and the user's next visit; None without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_life: float
    visit_length: float | None = None
    return_time: float | None = None


def item_life(rows: npt.NDArray[np.integer], times: npt.NDArray[np.float64]) -> float:
    """Seconds in which an item has most of its events: the median over events of items with several events.

    Args:
        rows: Item of each event, a code of at least 0 [n].
        times: Unix seconds of each event [n].

    Returns:
        The median of the time between the quantiles `LIFE` of an item's events; the whole span without such items.
    """
    order = np.lexsort((times, rows))
    starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
    counts = np.diff(np.append(starts, len(order)))
    starts, counts = starts[counts >= FEWEST_EVENTS], counts[counts >= FEWEST_EVENTS]
    if not len(starts):
        return float(np.ptp(times)) if len(times) else 0.0
    low, high = (times[order[starts + np.floor(part * (counts - 1)).astype(np.int64)]] for part in LIFE)
    life = high - low
    by_life = np.argsort(life)
    middle = np.searchsorted(np.cumsum(counts[by_life]), counts.sum() / 2)
    return float(life[by_life[middle]])


def visits(
    users: npt.NDArray[np.integer], sessions: npt.NDArray[np.integer], times: npt.NDArray[np.float64]
) -> tuple[float | None, float | None]:
    """Median length of a visit with several events, and median time from a visit to the user's next, in seconds.

    Args:
        users: User of each event [n].
        sessions: Session of each event within its user, -1 if unknown: a visit then ends before a gap of `VISIT_GAP`
            [n].
        times: Unix seconds [n].
    """
    if not len(times):
        return None, None
    order = np.lexsort((times, users))
    users, sessions, times = users[order], sessions[order], times[order]
    same = users[1:] == users[:-1]
    known = (sessions[1:] >= 0) & (sessions[:-1] >= 0)
    goes_on = same & np.where(known, sessions[1:] == sessions[:-1], np.diff(times) <= VISIT_GAP)
    first = np.flatnonzero(np.append(True, ~goes_on))
    last = np.append(first[1:], len(times)) - 1
    lengths = (times[last] - times[first])[last > first]
    returns = (times[first[1:]] - times[last[:-1]])[users[first[1:]] == users[last[:-1]]]
    return _median(lengths), _median(returns)


def _median(durations: npt.NDArray[np.float64]) -> float | None:
    return float(np.median(durations)) if len(durations) else None
