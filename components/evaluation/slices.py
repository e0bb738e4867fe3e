"""Where the funnel is better or worse: the comparison of three methods on parts of the test task.

Parts are by length of the history (terciles of the queries), popularity of what was taken, category of what was taken,
and country of the user. A part of the items keeps the lists and restricts the relevant items, like the slice
`cold_items`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from components.evaluation import metrics
from components.evaluation.bootstrap import resample
from components.evaluation.protocols.log import EventLog, Int64Array, ObjectArray
from components.evaluation.protocols.protocol import Task
from components.evaluation.scores import ndcg_scores
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.state import IntArray

FEWEST_USERS = 50  # a part with fewer users is left out
MOST_VALUES = 8  # categories and countries, those with the most users
HEAD_SHARE = 0.5  # of the (user, item) pairs before the test start fall on the items of the head
NUM_RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the test task.

    Attributes:
        group: What the parts differ in: history, popularity, category or country.
        name: The part.
        task: Its queries with their relevant items of the part.
        about: Definition of the part; "" if the name says it.
    """

    group: str
    name: str
    task: Task
    about: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """The methods that every part compares.

    Attributes:
        lists: Method -> lists of the test task [q, k].
        first, second: The methods whose paired difference is reported, first minus second.
    """

    lists: Mapping[str, IntArray]
    first: str
    second: str


def slices_of(
    log: EventLog,
    task: Task,
    popularity: Int64Array,
    categories: ObjectArray | None = None,
    countries: ObjectArray | None = None,
) -> Iterator[Slice]:
    """The parts of a task that have queries.

    Args:
        log: The log that the task refers to.
        task: The test task.
        popularity: Number of users of each item row before the test start [m].
        categories: Category of each item row [m], "" if unknown.
        countries: Country of each user code [u], "" if unknown.
    """
    if not len(task):
        return
    yield from _by_history(log, task)
    head = _head(popularity)[task.relevant.rows]
    about = f"the most popular items, with {HEAD_SHARE:.0%} of the earlier events"
    yield Slice("popularity", "head", task.restrict(head), about)
    yield Slice("popularity", "tail", task.restrict(~head), "all other items")
    if categories is not None:
        of_relevant = categories[task.relevant.rows].astype(str)
        owners = task.users[task.relevant.owners]
        for value in _most_frequent(of_relevant, owners):
            yield Slice("category", value, task.restrict(of_relevant == value))
    if countries is not None:
        of_user = countries[task.users].astype(str)
        for value in _most_frequent(of_user, task.users):
            yield Slice("country", value, task.take(np.flatnonzero(of_user == value)))


def compare_slices(
    slices: Iterator[Slice], compared: Compared, task: Task, log: EventLog, *, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """The content of each part: users, definition, figures of the methods, and the paired difference of NDCG@20.

    Args:
        slices: Parts of `task`.
        compared: Lists of the task's queries.
        task: The test task.
        log: The log that the task refers to.
        seed: Seed of the bootstrap.

    Returns:
        "group: name" -> `users`, `group`, `about`, `methods`, `against` and `lead`; `methods` is empty and there is no
        lead for a part with fewer than `FEWEST_USERS` users.
    """
    content: dict[str, dict[str, Any]] = {}
    for part in slices:
        if not len(part.task):
            continue
        place = np.searchsorted(task.users, part.task.users)
        users = len(np.unique(log.user_ids[part.task.users].astype(str)))
        entry: dict[str, Any] = {"users": users, "group": part.group, "about": part.about, "methods": {}}
        content[f"{part.group}: {part.name}"] = entry
        if users < FEWEST_USERS:
            continue
        lists = {name: rows[place] for name, rows in compared.lists.items()}
        entry["methods"] = {
            name: metrics.summary(metrics.per_query(rows, part.task.relevant), rows, len(log.item_ids))
            for name, rows in lists.items()
        }
        drawn = resample(ndcg_scores(lists, part.task, log), resamples=NUM_RESAMPLES, seed=seed)
        entry["against"] = compared.second
        entry["lead"] = asdict(drawn.difference(compared.first, compared.second))
    return content


def countries_of(tables: PreparedTables, user_ids: ObjectArray) -> ObjectArray | None:
    """Latest country of each user id [u], "" if unknown; None if no user has a country."""
    users = tables.read("users", ["user_id", "country"])
    users = users.filter(pc.is_valid(users["country"]))
    if not users.num_rows:
        return None
    known = dict(zip(users["user_id"].to_pylist(), users["country"].to_pylist(), strict=True))
    return np.array([known.get(user, "") for user in user_ids.tolist()], dtype=object)


def _by_history(log: EventLog, task: Task) -> Iterator[Slice]:
    """Terciles of the queries by number of earlier events; terciles with the same bound are one."""
    asked = np.full(len(log.user_ids), np.iinfo(np.int64).min)
    asked[task.users] = task.times
    counts = np.bincount(log.users[log.times < asked[log.users]], minlength=len(asked))[task.users]
    low, high = (int(bound) for bound in np.quantile(counts, (1 / 3, 2 / 3), method="lower"))
    parts: Sequence[tuple[str, npt.NDArray[np.bool_], str]] = (
        ("light", counts <= low, f"at most {low:,} earlier events"),
        ("medium", (counts > low) & (counts <= high), f"{low + 1:,} to {high:,} earlier events"),
        ("heavy", counts > high, f"over {high:,} earlier events"),
    )
    for name, mask, about in parts:
        if mask.any():
            yield Slice("history", name, task.take(np.flatnonzero(mask)), about)


def _head(popularity: Int64Array) -> npt.NDArray[np.bool_]:
    """Whether each item is one of the fewest items that together have `HEAD_SHARE` of all users of items [m]."""
    order = np.argsort(-popularity, kind="stable")
    before = np.cumsum(popularity[order]) - popularity[order]
    head = np.zeros(len(popularity), dtype=np.bool_)
    head[order] = before < HEAD_SHARE * popularity.sum()
    return head


def _most_frequent(values: npt.NDArray[np.str_], users: npt.NDArray[np.integer]) -> list[str]:
    """The values with the most distinct users, at most `MOST_VALUES`, the most frequent first, without ""."""
    names, codes = np.unique(values, return_inverse=True)
    pairs = np.unique(np.stack([codes, users]), axis=1)
    counts = np.bincount(pairs[0], minlength=len(names))
    return [str(names[code]) for code in np.argsort(-counts, kind="stable") if names[code]][:MOST_VALUES]
