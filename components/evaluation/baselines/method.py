"""The interface of every ranked method: users and excluded items in, ranked item rows out.

Also holds the shared parts of the methods: top-k over score blocks with bounded memory, the popularity floor of short
lists, and filtering of given lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from components.evaluation.metrics import LIST_LENGTH
from components.evaluation.protocols.log import EventLog, Int64Array, Ragged
from feature_repo.dataset.split import DAY_MICROSECONDS
from feature_repo.features.state import FloatArray, IntArray

HOUR = 1.0 / 24.0  # in days
MOST_MOMENTS = 65  # at which popularity is counted, for users who ask at their own times
_SCORES_AT_ONCE = 8_000_000


class Config(BaseModel):
    """Settings of a baseline; equal settings fit the same model."""

    model_config = ConfigDict(frozen=True, extra="forbid")


C = TypeVar("C", bound=Config)


class Method(Protocol):
    """A method that ranks the catalogue for users."""

    def lists(self, users: IntArray, excluded: Ragged, k: int = LIST_LENGTH) -> IntArray:
        """Ranks items for users.

        Args:
            users: User codes of the log [q].
            excluded: Set of rows that must not be listed, for each query.
            k: Length of a list.

        Returns:
            Item rows, best first, padded with -1 [q, k].
        """
        ...


@dataclass(frozen=True, slots=True)
class Training:
    """The data that a baseline may use.

    Attributes:
        fit: Positive events for fitting parameters.
        history: Positive events known at the query, a superset of `fit`. If users ask at their own times, all events
            of a user are moved so that the query is at `now`.
        now: Time of the query, microseconds; the end of `fit` if users ask at their own times.
        repeats_some: Whether any of a user's own items may come again.
        popular_half_life: Half-life in days of the popularity that completes short lists; None for no decay.
        seed: Seed of all random choices.
        most_items: Fit only on this number of most frequent items, for methods with a superlinear cost; None for all
            items. Set while settings are searched.
        asked: Time of each user's query, microseconds [u]; None if all users ask at `now`.
        counted: Positive events up to the last query, for counts as of a time before each query; None for `fit`.
        cuts: Times as of which popularity is counted, ascending microseconds; None for `MOST_MOMENTS` even times.
    """

    fit: EventLog
    history: EventLog
    now: int
    repeats_some: bool
    popular_half_life: float | None = 7.0
    seed: int = 0
    most_items: int | None = None
    asked: Int64Array | None = None
    counted: EventLog | None = None
    cuts: Int64Array | None = None

    def moments(self) -> tuple[Int64Array, Int64Array]:
        """Times at which popularity is counted, and for each user [u] the place of the latest of them up to the query.

        A query before the first time belongs to the first.
        """
        if self.asked is None:
            return np.array([self.now]), np.zeros(len(self.fit.user_ids), dtype=np.int64)
        moments = self.cuts
        if moments is None:
            moments = np.linspace(int(self.asked.min(initial=self.now)), self.now, MOST_MOMENTS).astype(np.int64)
        return moments, np.maximum(np.searchsorted(moments, self.asked, side="right") - 1, 0)

    @property
    def span_days(self) -> float:
        """Length of the fitting data in days."""
        return (self.now - int(self.fit.times.min(initial=self.now))) / DAY_MICROSECONDS

    def half_lives(self) -> tuple[float | None, ...]:
        """Candidate half-lives of a user's tastes in days: no decay, then from a third of the log to a typical visit.

        The last one is about the median time between two visits of a user: a faster decay would forget the visit
        before the last.
        """
        order = np.lexsort((self.fit.times, self.fit.users))
        users, times = self.fit.users[order], self.fit.times[order]
        gaps = np.diff(times)[(users[1:] == users[:-1]) & (times[1:] > times[:-1])]
        shortest = float(np.median(gaps)) / DAY_MICROSECONDS if len(gaps) else self.span_days
        return None, *_halved(self.span_days / 3, shortest)

    def popular_half_lives(self) -> tuple[float | None, ...]:
        """Candidate half-lives of popularity in days: no decay, then from the whole log to the turnover of items.

        The turnover is measured as the median age of an item, since its first event, at the events of the log. Trends
        are faster than the turnover, so the candidates go to 1/64 of it.
        """
        rows, times = self.fit.rows, self.fit.times
        first = np.full(len(self.fit.item_ids), self.now, dtype=np.int64)
        np.minimum.at(first, rows, times)
        age = float(np.median(times - first[rows])) / DAY_MICROSECONDS if len(rows) else self.span_days
        return None, *_halved(self.span_days, age / 64)

    @property
    def floor(self) -> FloatArray:
        """Scores in [-2, -1] that order items by popularity, below every score of a model [m]."""
        decay = self.fit.decay(self.popular_half_life, self.now)
        counts = np.bincount(self.fit.rows, weights=decay, minlength=len(self.fit.item_ids))
        places = np.empty(len(counts), dtype=np.float64)
        places[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
        return (-1.0 - places / max(len(counts), 1)).astype(np.float32)


def _halved(longest: float, shortest: float) -> tuple[float, ...]:
    """Half-lives in days by factors of 2 from the longest to the shortest, at least one, and none under an hour."""
    num = 1 + int(max(np.log2(max(longest, HOUR) / max(shortest, HOUR)), 0.0))
    return tuple(round(max(longest, HOUR) / 2**place, 4) for place in range(num))


class Family(Protocol[C]):
    """A kind of baseline: created with its training data, it can fit any of its settings."""

    name: str
    start: C

    def __init__(self, training: Training) -> None: ...

    def absent(self) -> str | None:
        """The reason why this kind does not apply here; None if it applies."""
        ...

    def axes(self) -> Mapping[str, Sequence[object]]:
        """Settings to search, in order: field of the config -> values, in order of size; None: no decay."""
        ...

    def fit(self, config: C) -> Method:
        """Fits the model of the given settings."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A method with precomputed long lists for some users, filtered on request.

    Attributes:
        users: User codes, ascending [q].
        rows: Item rows, best first, padded with -1 [q, length].
    """

    users: IntArray
    rows: IntArray

    def lists(self, users: IntArray, excluded: Ragged, k: int = LIST_LENGTH) -> IntArray:
        """See `Method.lists`; a user without a list gets an empty one."""
        padded = np.concatenate([self.rows, np.full((1, self.rows.shape[1]), -1, dtype=np.int32)])
        place = np.searchsorted(self.users, users)
        place = np.where((place < len(self.users)) & np.isin(users, self.users), place, len(self.users))
        return filtered(padded[place], excluded, k)


@dataclass(frozen=True, slots=True)
class Refitted:
    """A method that is fitted again in the course of a span.

    Attributes:
        methods: The fits in order of time, at least one.
        place: The fit that answers each user [u].
    """

    methods: Sequence[Method]
    place: Int64Array

    def lists(self, users: IntArray, excluded: Ragged, k: int = LIST_LENGTH) -> IntArray:
        """See `Method.lists`."""
        rows = np.full((len(users), k), -1, dtype=np.int32)
        for number, method in enumerate(self.methods):
            mine = np.flatnonzero(self.place[users] == number)
            if len(mine):
                rows[mine] = method.lists(users[mine], excluded.take(mine), k)
        return rows


def filtered(rows: IntArray, excluded: Ragged, k: int) -> IntArray:
    """The first k rows of each list that are not excluded, in order [q, k]; `rows` may be [1, length]."""
    bad = excluded.contains(rows) | (rows < 0)
    rows = np.broadcast_to(rows, bad.shape)
    order = np.argsort(bad, axis=1, kind="stable")[:, :k]
    kept = np.where(np.take_along_axis(bad, order, axis=1), -1, np.take_along_axis(rows, order, axis=1))
    return np.pad(kept, ((0, 0), (0, k - kept.shape[1])), constant_values=-1).astype(np.int32)


def rank(
    score: Callable[[IntArray], FloatArray], users: IntArray, excluded: Ragged, num_items: int, k: int
) -> IntArray:
    """Lists of the k best scores per user, in blocks of bounded memory.

    Args:
        score: User codes [b] -> a fresh array of scores [b, m]; -inf is never listed.
        users: User codes [q].
        excluded: Rows that must not be listed.
        num_items: Number of items m.
        k: Length of a list.
    """
    out = np.full((len(users), k), -1, dtype=np.int32)
    width = min(k, num_items)
    step = max(1, _SCORES_AT_ONCE // max(num_items, 1))
    for start in range(0, len(users), step):
        block = score(users[start : start + step])
        queries = np.arange(start, start + len(block))
        banned = excluded.take(queries)
        block[banned.owners, banned.rows] = -np.inf
        # Several times as fast as numpy's argpartition for the short lists of a search.
        values, best = (part.numpy() for part in torch.topk(torch.from_numpy(block), width, dim=1))
        order = np.lexsort((best, -values), axis=1)
        listed = np.take_along_axis(best, order, axis=1)
        alive = np.isfinite(np.take_along_axis(values, order, axis=1))
        out[queries, :width] = np.where(alive, listed, -1)
    return out
