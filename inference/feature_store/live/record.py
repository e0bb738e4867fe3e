"""The live record of users: their newest accepted events, until a snapshot holds them.

The record holds ids and event types, so that it serves every bundle of a dataset. It is bounded for each user and
expires. Appending needs no read, so several servers may append at once. An event that was posted twice counts once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import numpy as np

from feature_repo.features.folding import GradedEvents
from feature_repo.features.state import OwnItems, TimeArray
from inference.feature_store.state_columns import RowMap, offsets_of

MOST_EVENTS = 200  # per user; a refresh normally runs every hour
LATE_SECONDS = 900.0  # how long after its time an event may reach the log
KEPT_SECONDS = 3 * 86_400  # after the last event of a user in Redis, after each event in SQLite


class LiveEvent(NamedTuple):
    """An accepted event; `time` in unix microseconds."""

    user_id: str
    event_id: str
    item_id: str
    event_type: str
    time: int


class LiveStore(Protocol):
    """Holds the live record of a dataset. Thread-safe."""

    def append(self, events: Sequence[LiveEvent]) -> None:
        """Appends accepted events.

        Raises:
            FeatureStoreError: The store cannot be written.
        """
        ...

    def read(self, user_ids: Sequence[str]) -> list[list[LiveEvent]]:
        """Returns the newest events of users [q] in the order of their arrival; an event may occur twice.

        Raises:
            FeatureStoreError: The store cannot be read.
        """
        ...


def graded_live(
    found: Sequence[Sequence[LiveEvent]],
    since: Sequence[datetime],
    own: OwnItems,
    times: TimeArray,
    grades: Mapping[str, int],
    row_map: RowMap,
) -> GradedEvents:
    """The live events that the snapshots of users do not hold and that precede the queries, by time.

    A snapshot holds an earlier event if the item was last taken at that time or later. An event that reached the log
    after the snapshot was made counts for `LATE_SECONDS`; by then a later snapshot holds it.

    Args:
        found: Live events of each user [q].
        since: Time of each user's snapshot [q].
        own: Own items of the snapshots.
        times: Unix seconds of the queries [q]; later events do not count, as in training.
        grades: Event type -> grade; other types are context.
        row_map: Other items are left out.
    """
    counted: list[tuple[int, int, float]] = []
    lengths = []
    for place, (events, snapshot, time) in enumerate(zip(found, since, times.tolist(), strict=True)):
        mine = slice(own.offsets[place], own.offsets[place + 1])
        last_of = dict(zip(own.rows[mine].tolist(), own.last[mine].tolist(), strict=True)) if events else {}
        start, end = snapshot.timestamp(), round(time * 1e6)
        # Of equal ids the first counts, with the place of its arrival.
        distinct: dict[str, LiveEvent] = {}
        for event in events:
            if grades.get(event.event_type, 0):
                distinct.setdefault(event.event_id, event)
        graded = sorted(distinct.values(), key=lambda event: event.time)
        rows = row_map.rows([event.item_id for event in graded]).tolist()
        before = len(counted)
        for row, event in zip(rows, graded, strict=True):
            moment = event.time / 1e6
            held = moment < start and (moment < start - LATE_SECONDS or last_of.get(row, 0.0) >= moment)
            if row >= 0 and event.time < end and not held:
                counted.append((row, grades[event.event_type], moment))
        lengths.append(len(counted) - before)
    columns = list(zip(*counted, strict=True)) or [(), (), ()]
    return GradedEvents(
        offsets=offsets_of(lengths),
        rows=np.array(columns[0], dtype=np.int32),
        grades=np.array(columns[1], dtype=np.int8),
        times=np.array(columns[2], dtype=np.float64),
    )
