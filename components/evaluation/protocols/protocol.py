"""What is asked of a recommender and what counts as right: contract 2's temporal protocol.

One query a user at the start of the span, with what was known then; relevant are the distinct items with a positive
event in the span. Owns who is asked, which own items are ruled out, and the slices; it never sees a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.evaluation.protocols.log import EventLog, Ragged
from feature_repo.features.state import IntArray

Repeats = Literal["never", "until-converted", "always"]


@dataclass(frozen=True, slots=True)
class Task:
    """Queries of q users at one time.

    Attributes:
        users: User codes [q], ascending.
        relevant: Items that count as hits, at least one a query.
        excluded: Items that may not be listed.
    """

    users: IntArray
    relevant: Ragged
    excluded: Ragged

    def __len__(self) -> int:
        return len(self.users)

    def restrict(self, mask: npt.NDArray[np.bool_]) -> Task:
        """The same queries with only the relevant items where `mask` [n] is true; who has none left is not asked."""
        return _asked(self.users, self.relevant.keep(mask), self.excluded)


@dataclass(frozen=True, slots=True)
class Tasks:
    """The test task and its slices.

    Attributes:
        test: Users with any earlier event.
        cold_users: Users without one.
        cold_items: The test task, relevant restricted to items without an event before the start.
        warm_items: The rest of it.
        new_items: The test task with all own items excluded from lists and relevant; None where none may come again.
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
    least = {"never": 1, "until-converted": strongest}.get(repeats)
    reached = history.grades >= least if least is not None else np.zeros(len(history), dtype=bool)
    return Ragged.from_pairs(history.users[reached], history.rows[reached], len(history.user_ids))


def make_task(log: EventLog, start: int, end: int, excluded: Ragged, *, cold: bool = False) -> Task:
    """One query a user at `start`, relevant what they met positively in [start, end] and may be listed.

    Args:
        log: All clean events.
        start: Microseconds; what is known is strictly earlier.
        end: Microseconds, inclusive.
        excluded: Items that may not be listed, for every user code.
        cold: Ask the users without an earlier event instead of those with one.
    """
    num_users = len(log.user_ids)
    known = np.bincount(log.users[log.times < start], minlength=num_users) > 0
    inside = (log.times >= start) & (log.times <= end) & (log.grades > 0) & (known[log.users] != cold)
    relevant = Ragged.from_pairs(log.users[inside], log.rows[inside], num_users)
    return _asked(np.arange(num_users, dtype=np.int32), relevant.without(excluded), excluded)


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


def _asked(users: IntArray, relevant: Ragged, excluded: Ragged) -> Task:
    """Leave out the queries that have nothing relevant."""
    asked = np.flatnonzero(relevant.counts)
    return Task(users[asked], relevant.take(asked), excluded.take(asked))
