"""Queries and relevant items of an evaluation: the protocols of contract 2.

Temporal: each user has one query at the start of the span, with the data known then; the distinct items with a positive
event in the span are relevant. Leave-one-out: each user has one query at the time of the held-out item. This module
defines the queries, the excluded own items, and the slices. Ranking and metrics are elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.evaluation.protocols.log import EventLog, Int64Array, Ragged
from feature_repo.dataset.repeats import Repeats, least_ruled_out
from feature_repo.features.state import IntArray


@dataclass(frozen=True, slots=True)
class Task:
    """Queries of q users, one each.

    Attributes:
        users: User codes [q], ascending.
        times: Time of each query, microseconds [q].
        relevant: Items that count as hits, at least one item per query.
        excluded: Items that must not be listed.
    """

    users: IntArray
    times: Int64Array
    relevant: Ragged
    excluded: Ragged

    def __len__(self) -> int:
        return len(self.users)

    def num_users(self, log: EventLog) -> int:
        """Number of distinct user ids; under rolling a user code of the log is a request, and a person has several."""
        return len(set(log.user_ids[self.users].tolist()))

    def restrict(self, mask: npt.NDArray[np.bool_]) -> Task:
        """The task with only the relevant items where `mask` [n] is true; queries without any are dropped."""
        return queries_with_relevant(self.users, self.times, self.relevant.keep(mask), self.excluded)

    def take(self, queries: npt.NDArray[np.integer]) -> Task:
        """The task with only the queries at these places, ascending."""
        return Task(self.users[queries], self.times[queries], self.relevant.take(queries), self.excluded.take(queries))


@dataclass(frozen=True, slots=True)
class Tasks:
    """The test task and its slices.

    Attributes:
        test: Users with an earlier event.
        cold_users: Users without an earlier event.
        cold_items: The test task; only items without an event before the start are relevant.
        warm_items: The test task; only items with an event before the start are relevant.
        new_items: The test task with all own items excluded from lists and relevant items; None if no own item may
            come again.
    """

    test: Task
    cold_users: Task
    cold_items: Task
    warm_items: Task
    new_items: Task | None


def ruled_out(history: EventLog, repeats: Repeats, strongest: int) -> Ragged:
    """Own items that may not come again, for every user code [u].

    Args:
        history: Events before the query.
        repeats: The dataset's rule.
        strongest: Grade of the strongest objective.
    """
    reached = history.grades >= least_ruled_out(repeats, strongest)
    return Ragged.from_pairs(history.users[reached], history.rows[reached], len(history.user_ids))


def make_task(log: EventLog, start: int, end: int, excluded: Ragged, *, cold: bool = False) -> Task:
    """One query per user at `start`; relevant are listable items with a positive event in [start, end].

    Args:
        log: All clean events.
        start: Microseconds; only strictly earlier events are known.
        end: Microseconds, inclusive.
        excluded: Items that must not be listed, for every user code.
        cold: Whether to select users without an earlier event instead of users with an earlier event.
    """
    num_users = len(log.user_ids)
    known = np.bincount(log.users[log.times < start], minlength=num_users) > 0
    inside = (log.times >= start) & (log.times <= end) & (log.grades > 0) & (known[log.users] != cold)
    relevant = Ragged.from_pairs(log.users[inside], log.rows[inside], num_users)
    users, times = np.arange(num_users, dtype=np.int32), np.full(num_users, start, dtype=np.int64)
    return queries_with_relevant(users, times, relevant.without(excluded), excluded)


def make_tasks(log: EventLog, start: int, end: int, repeats: Repeats, strongest: int) -> Tasks:
    """The test task of the span [start, end] and its slices."""
    history = log.before(start)
    test = make_task(log, start, end, ruled_out(history, repeats, strongest))
    seen = np.bincount(history.rows, minlength=len(log.item_ids)) > 0
    old = seen[test.relevant.rows]
    own = ruled_out(history, "never", strongest)
    return Tasks(
        test=test,
        cold_users=make_task(log, start, end, own, cold=True),
        cold_items=test.restrict(~old),
        warm_items=test.restrict(old),
        new_items=None if repeats == "never" else make_task(log, start, end, own),
    )


def held_out_task(log: EventLog, held: EventLog, excluded: Ragged) -> Task:
    """One query per held-out item, at its time; the item is relevant.

    Args:
        log: All clean events.
        held: The held-out events, at most one per user.
        excluded: Items that must not be listed, for every user code.
    """
    num_users = len(log.user_ids)
    times = np.zeros(num_users, dtype=np.int64)
    times[held.users] = held.times
    relevant = Ragged.from_pairs(held.users, held.rows, num_users)
    return queries_with_relevant(np.arange(num_users, dtype=np.int32), times, relevant.without(excluded), excluded)


def held_out_tasks(log: EventLog, held: EventLog, history: EventLog, repeats: Repeats, strongest: int) -> Tasks:
    """The test task of held-out items and its slices.

    Args:
        log: All clean events.
        held: The test events.
        history: Events that the queries know.
        repeats: The rule of the protocol.
        strongest: Grade of the strongest objective.
    """
    test = held_out_task(log, held, ruled_out(history, repeats, strongest))
    old = (np.bincount(history.rows, minlength=len(log.item_ids)) > 0)[test.relevant.rows]
    own = ruled_out(history, "never", strongest)
    nobody = held.where(np.zeros(len(held), dtype=np.bool_))
    return Tasks(
        test=test,
        cold_users=held_out_task(log, nobody, own),
        cold_items=test.restrict(~old),
        warm_items=test.restrict(old),
        new_items=None if repeats == "never" else held_out_task(log, held, own),
    )


def queries_with_relevant(users: IntArray, times: Int64Array, relevant: Ragged, excluded: Ragged) -> Task:
    """A task with the queries that have a relevant item.

    Args:
        users: User codes [q], ascending.
        times: Time of each query, microseconds [q].
        relevant: Items that count as hits.
        excluded: Items that must not be listed.
    """
    asked = np.flatnonzero(relevant.counts)
    return Task(users[asked], times[asked], relevant.take(asked), excluded.take(asked))
