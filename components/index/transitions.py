"""Last-item transitions: how often an item followed another in the users' sequences, with direction and recency.

A first-order Markov chain over items: each visit counts towards the `WINDOW` visits that follow it, less for longer
gaps and for older transitions. Memory grows with the events: 20 bytes for each of the `WINDOW` transitions of an event
while they are counted, at most `MOST_PAIRS` transitions at a time for a table.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from components.index.tables import joined, strongest, without_diagonal
from components.replay.events import Events
from feature_repo.dataset.split import DAY
from feature_repo.features.state import IntArray
from inference.models.neighbours import Followers

WINDOW = 5  # visits that follow a visit and count as taken after it
MOST_PAIRS = 10_000_000  # transitions that are counted at once, about 200 MB

Visits = tuple[IntArray, IntArray, npt.NDArray[np.float64]]


class TransitionsConfig(BaseModel):
    """Settings of the followers.

    Attributes:
        num_followers: Maximum number of followers per item.
        fade: Weight of one more step between two visits, and of one more step back in the history.
        smoothing: Number of transitions without a follower that each item has in addition.
        half_life_days: Days in which a transition loses half its weight, None for no decay.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_followers: int = 100
    fade: float = 0.7
    smoothing: float = 10.0
    half_life_days: float | None = None


def fit_transitions(events: Events, num_items: int, as_of: float, config: TransitionsConfig) -> Followers:
    """Followers from positive events before a time.

    Args:
        events: All positive events.
        num_items: Size m of the row map.
        as_of: Unix seconds; later events are ignored, and weights decay with the age at this time.
        config: See `TransitionsConfig`.
    """
    users, rows, times = visits_before(events, as_of)
    half_life = config.half_life_days or np.inf
    visits = users, rows, np.exp2((times - as_of) / (half_life * DAY))
    starts = _block_starts(rows, num_items)
    found = []
    for start, stop in itertools.pairwise(starts):
        counts = count_transitions(visits, num_items, config.fade, repeats_some=False, start=start, stop=stop)
        mass = np.asarray(counts.sum(axis=1)).ravel()
        counts.data /= np.repeat(mass + config.smoothing, np.diff(counts.indptr))
        found.append(strongest(counts, without_diagonal(counts, start), config.num_followers)[0])
    return Followers(*joined(found), fade=config.fade)


def count_transitions(
    visits: Visits, num_items: int, fade: float, *, repeats_some: bool, start: int = 0, stop: int | None = None
) -> sparse.csr_matrix:
    """Decayed number of times that an item followed another, float64 CSR with sorted indices [stop - start, m].

    Args:
        visits: User, item row and weight of every visit, by user and by time within each user [n].
        num_items: Number of items m.
        fade: Weight of one more step between two visits.
        repeats_some: Whether an item may follow itself.
        start: First item whose followers are counted.
        stop: Item after the last; None for all.
    """
    users, rows, weights = visits
    stop = num_items if stop is None else stop
    first = np.flatnonzero((rows >= start) & (rows < stop))
    parts: list[Visits] = []
    for gap in range(1, WINDOW + 1):
        before = first[first + gap < len(rows)]
        after = before + gap
        same = users[before] == users[after]
        if not repeats_some:
            same &= rows[before] != rows[after]
        before, after = before[same], after[same]
        parts.append((rows[before] - start, rows[after], weights[after] * fade ** (gap - 1)))
    earlier, later, weight = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    counts = sparse.csr_matrix((weight, (earlier, later)), shape=(stop - start, num_items))
    counts.sort_indices()
    return counts


def visits_before(events: Events, as_of: float) -> tuple[IntArray, IntArray, npt.NDArray[np.float64]]:
    """Users, rows and times of the distinct events before a time, by user, and by time within each user."""
    used = events.times < as_of
    users, rows, times = events.users[used], events.rows[used], events.times[used]
    order = np.lexsort((rows, times, users))
    users, rows, times = users[order], rows[order], times[order]
    distinct = np.ones(len(users), dtype=np.bool_)
    distinct[1:] = (users[1:] != users[:-1]) | (rows[1:] != rows[:-1]) | (times[1:] != times[:-1])
    return users[distinct], rows[distinct], times[distinct]


def _block_starts(rows: IntArray, num_items: int) -> list[int]:
    """Bounds of blocks of items, each with at most about `MOST_PAIRS` transitions."""
    pairs = np.cumsum(np.bincount(rows, minlength=num_items)) * WINDOW
    num = 1 + int(pairs[-1]) // MOST_PAIRS
    inner = np.searchsorted(pairs, np.arange(1, num) * (pairs[-1] / num), side="right")
    return [0, *sorted(set(inner.tolist()) - {0, num_items}), num_items]
