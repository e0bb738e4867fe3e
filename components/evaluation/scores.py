"""NDCG@20 of several methods by relevant item, with the units that the bootstrap resamples: users, days and items.

A part of the metric belongs to a user, to the item that was taken, and to the day on which it was taken. Queries keep
equal weights: each relevant item of a query has the weight 1 / number of relevant items of the query.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from components.evaluation.bootstrap import USERS, Scores
from components.evaluation.metrics import ndcg_shares
from components.evaluation.protocols.log import EventLog, Int64Array
from components.evaluation.protocols.protocol import Task
from feature_repo.dataset.split import DAY_MICROSECONDS
from feature_repo.features.state import IntArray

NDCG_CUTOFF = 20


def ndcg_scores(lists: Mapping[str, IntArray], task: Task, log: EventLog) -> Scores:
    """NDCG@20 of the lists of several methods.

    Args:
        lists: Method -> item rows of each query, best first, padded with -1 [q, k].
        task: The queries and their relevant items.
        log: The log that holds the events of the span.
    """
    owners = task.relevant.owners
    return Scores(
        values={name: ndcg_shares(rows, task.relevant, NDCG_CUTOFF) for name, rows in lists.items()},
        sizes=1.0 / task.relevant.counts[owners],
        units={
            USERS: _people(log)[task.users[owners]],
            "days": _days(task, log),
            "items": task.relevant.rows,
        },
    )


def _people(log: EventLog) -> Int64Array:
    """A number for each user code [u], equal for codes with the same id: all requests of a user are one cluster."""
    numbers: Int64Array = np.unique(log.user_ids.astype(str), return_inverse=True)[1]
    return numbers


def _days(task: Task, log: EventLog) -> Int64Array:
    """Day on which the user first took each relevant item, counted from the first query [n].

    An event that is held out is not in the log: it has the time of its query.
    """
    asked = np.full(len(log.user_ids), np.iinfo(np.int64).max)
    np.minimum.at(asked, task.users, task.times)
    later = log.where((log.times >= asked[log.users]) & (log.grades > 0))
    width = len(log.item_ids)
    wanted = task.users[task.relevant.owners].astype(np.int64) * width + task.relevant.rows
    keys = later.users.astype(np.int64) * width + later.rows
    order = np.argsort(keys, kind="stable")  # events are in the order of time
    found = np.minimum(np.searchsorted(keys[order], wanted), max(len(keys) - 1, 0))
    first = task.times[task.relevant.owners].copy()
    if len(keys):
        first = np.where(keys[order][found] == wanted, later.times[order][found], first)
    first -= task.times.min()
    # A span includes its end: an event at that microsecond belongs to the last full day.
    days: Int64Array = np.minimum(first // DAY_MICROSECONDS, max(int(first.max()) - 1, 0) // DAY_MICROSECONDS)
    return days
