"""The mutable state of a world: past user-item pairs, and planned visits, returns and restocking.

Pairs are stored as sorted keys `user * num_items + item`. Memory therefore grows with the number of events, not with
users times items.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.marketplace.world.catalogue import Ints
from components.marketplace.world.chance import FloatColumn

Keys = npt.NDArray[np.int64]


class SeenPairs:
    """Distinct (user, item) pairs with the latest time of each."""

    def __init__(self, num_items: int) -> None:
        self._num_items = num_items
        self._keys: Keys = np.empty(0, dtype=np.int64)
        self._times: FloatColumn = np.empty(0)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, users: Ints, items: Ints, times: FloatColumn) -> None:
        """Adds pairs [n]; the time of a known pair becomes the later of both times."""
        keys = users.astype(np.int64) * self._num_items + items
        order = np.lexsort((times, keys))
        keys, times = keys[order], times[order]
        latest = np.append(keys[1:] != keys[:-1], True)[: len(keys)]
        keys, times = keys[latest], times[latest]
        place = np.searchsorted(self._keys, keys)
        known = np.append(self._keys, -1)[place] == keys
        self._times[place[known]] = np.maximum(self._times[place[known]], times[known])
        self._keys = np.insert(self._keys, place[~known], keys[~known])
        self._times = np.insert(self._times, place[~known], times[~known])

    def last(self, users: Ints, items: Ints) -> FloatColumn:
        """Latest time of each pair [n]; -inf for unknown pairs."""
        keys = users.astype(np.int64) * self._num_items + items
        if not len(self._keys):
            return np.full(len(keys), -np.inf)
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[place] == keys, self._times[place], -np.inf)

    def of(self, users: Ints) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Every pair of users [n] as (index into `users`, item row), to index a matrix [n, items]."""
        start = np.searchsorted(self._keys, users.astype(np.int64) * self._num_items)
        counts = np.searchsorted(self._keys, (users.astype(np.int64) + 1) * self._num_items) - start
        index = np.repeat(np.arange(len(users)), counts)
        within = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
        return index, self._keys[np.repeat(start, counts) + within] % self._num_items


class Agenda:
    """Actions that users will take without a slate: rows of (time, user, item, kind)."""

    def __init__(self) -> None:
        self._times: FloatColumn = np.empty(0)
        self._rows: Ints = np.empty((0, 3), dtype=np.int32)

    def __len__(self) -> int:
        return len(self._times)

    def add(self, times: FloatColumn, users: Ints, items: Ints, kind: int) -> None:
        """Plans that users [n] do `kind` with items [n] at times [n]."""
        rows = np.stack([users, items, np.full(len(users), kind)], axis=1).astype(np.int32)
        self._times = np.concatenate([self._times, times])
        self._rows = np.concatenate([self._rows, rows])

    def due(self, until: float) -> tuple[FloatColumn, Ints, Ints, Ints]:
        """Removes and returns the actions before `until`, sorted by time: times, users, items, kinds [n]."""
        ready = self._times < until
        order = np.lexsort((*self._rows[ready].T, self._times[ready]))
        times, rows = self._times[ready][order], self._rows[ready][order]
        self._times, self._rows = self._times[~ready], self._rows[~ready]
        return times, rows[:, 0], rows[:, 1], rows[:, 2]
