"""Folds events into the history and the own items of users: state + later events -> state.

A snapshot holds the state as of its time; `fold` adds what happened since. Training rows, evaluation and servers use
this function, so that a history ends at the query everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import HISTORY_LENGTH, History, IntArray, OffsetArray, OwnItems, TimeArray

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GradedEvents:
    """Positive and negative events of each of q users, flattened, by time within the user (ties in the log's order).

    Attributes:
        offsets: [q + 1], user i has the entries `offsets[i]:offsets[i + 1]`.
        rows: Item rows [n]; ids that the row map lacks are left out.
        grades: Objective grade [n], 1 the weakest; -1 for a negative event.
        times: Unix seconds [n].
    """

    offsets: OffsetArray
    rows: IntArray
    grades: npt.NDArray[np.int8]
    times: TimeArray


def fold(history: History, own: OwnItems, events: GradedEvents) -> tuple[History, OwnItems]:
    """The state after the events of q users, given the state before them.

    The caller passes only events that the state does not hold yet and that precede the query. An event may be earlier
    than the last one of the state: it may have reached the log later. The result equals the
    state that a snapshot at that time holds: the last `HISTORY_LENGTH` positive events, oldest first, and own items
    with their counts, strongest grade, first and last event.

    Args:
        history: Last positive events of q users.
        own: Own items of the same users.
        events: Further events of the same users.
    """
    if not len(events.rows):
        return history, own
    owners = owners_of(events.offsets)
    return _longer_history(history, events, owners), _more_items(own, events, owners)


def no_state(num_users: int) -> tuple[History, OwnItems]:
    """History and own items of users without events."""
    nothing = np.zeros(num_users + 1, dtype=np.int64)
    rows, grades, times = np.zeros(0, np.int32), np.zeros(0, np.int8), np.zeros(0, np.float64)
    counts = np.zeros(0, np.float32)
    return History(nothing, rows, grades, times), OwnItems(nothing, rows, counts, counts, grades, times, times)


def joined_states(states: Sequence[tuple[History, OwnItems]]) -> tuple[History, OwnItems]:
    """The states of several groups of users as the state of all of them, in order."""
    histories, owns = [history for history, _ in states], [own for _, own in states]
    return (
        History(_joined_offsets([part.offsets for part in histories]), *_columns(histories)),
        OwnItems(_joined_offsets([part.offsets for part in owns]), *_columns(owns)),
    )


def owners_of(offsets: OffsetArray) -> Int64Array:
    """User of each entry [n]."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def _longer_history(history: History, events: GradedEvents, owners: Int64Array) -> History:
    positive = events.grades > 0
    owner = np.concatenate([owners_of(history.offsets), owners[positive]])
    times = np.concatenate([history.times, events.times[positive]])
    order = np.lexsort((times, owner))  # stable: at the same time the events follow the history
    ends = np.cumsum(np.bincount(owner, minlength=len(history.offsets) - 1))
    kept = order[ends[owner[order]] - np.arange(len(order)) <= HISTORY_LENGTH]

    def column(before: npt.NDArray, after: npt.NDArray) -> npt.NDArray:  # type: ignore[type-arg]
        return np.asarray(np.concatenate([before, after[positive]])[kept])

    return History(
        offsets=_offsets(owner[kept], len(history.offsets) - 1),
        rows=column(history.rows, events.rows),
        grades=column(history.grades, events.grades),
        times=column(history.times, events.times),
    )


def _more_items(own: OwnItems, events: GradedEvents, owners: Int64Array) -> OwnItems:
    width = int(max(own.rows.max(initial=0), events.rows.max(initial=0))) + 1
    keys = np.concatenate([owners_of(own.offsets) * width + own.rows, owners * width + events.rows])
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    positive = events.grades > 0

    def reduced(how: np.ufunc, before: npt.NDArray, after: npt.NDArray) -> npt.NDArray:  # type: ignore[type-arg]
        return np.asarray(how.reduceat(np.concatenate([before, after.astype(before.dtype)])[order], starts))

    owner, rows = np.divmod(ordered[starts], width)
    return OwnItems(
        offsets=_offsets(owner, len(own.offsets) - 1),
        rows=rows.astype(np.int32),
        counts=reduced(np.add, own.counts, positive),
        negatives=reduced(np.add, own.negatives, events.grades < 0),
        grades=reduced(np.maximum, own.grades, np.maximum(events.grades, 0)),
        first=reduced(np.minimum, own.first, events.times),
        last=reduced(np.maximum, own.last, events.times),
    )


def _offsets(owners: Int64Array, num_users: int) -> OffsetArray:
    return np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=num_users)))).astype(np.int64)


def _joined_offsets(parts: Sequence[OffsetArray]) -> OffsetArray:
    return np.concatenate(([0], np.cumsum(np.concatenate([np.diff(part) for part in parts])))).astype(np.int64)


def _columns(parts: Sequence[History] | Sequence[OwnItems]) -> list[npt.NDArray]:  # type: ignore[type-arg]
    names = [name for name in parts[0].__slots__ if name != "offsets"]
    return [np.concatenate([getattr(part, name) for part in parts]) for name in names]
