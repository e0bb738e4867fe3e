"""Leave-one-out at each user's own time: prepared tables without the held-out items, and a table of these items.

Contract 2: items with fewer than 5 positive events are dropped. By time, with ties in file order, each user's last
positive item is the test item and the item before it is the validation item. The ranker learns from the items before
them, its targets. A query has the time of its item, and its user's earlier events as history. If own items may not come
again, only the first event of each item counts.

The interactions keep their times and the targets. To avoid leakage, they lack all events of a user from the validation
item onwards. Impressions of held-out items and impressions with a dropped event, whose labels know it, are dropped too.
Events of a user at the same time get successive microseconds in file order, so that a history ends between them. Item
state is as of the last cut before a query; the cuts are few, so that the state of each is cheap. `user_clock.py` writes
the tables that models are fitted on.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.evaluation.protocols.log import MICROSECONDS, EventLog, Int64Array
from feature_repo.dataset.split import Split
from feature_repo.dataset.tables import (
    DESCRIPTION_FILE,
    HELD_OUT_FILE,
    HELD_OUT_SCHEMA,
    TIMESTAMP,
    PreparedTables,
    item_universe,
)
from feature_repo.errors import DatasetError
from feature_repo.storage.files import write_json, write_parquet

FEWEST_EVENTS = 5
SHORTEST = 3
WANTED_TARGETS = 5_000  # of the ranker, over all users; at least one a user
MOST_CUTS = 64


@dataclass(frozen=True, slots=True)
class HeldOutEvents:
    """Held-out events as positions in the interactions table.

    Attributes:
        validation, test: Entry i of both arrays belongs to the same user [h].
        targets: The ranker's targets, by user, then time [t].
    """

    validation: Int64Array
    test: Int64Array
    targets: Int64Array


def leave_one_out(tables_dir: Path, out_dir: Path) -> dict[str, int]:
    """Writes the tables.

    Args:
        tables_dir: Clean prepared tables.
        out_dir: Receives prepared tables with the table of held-out items.

    Returns:
        Numbers of users with a test item, of remaining items and of events.

    Raises:
        DatasetError: No user has three positive events with items that have five.
    """
    tables = PreparedTables.open(tables_dir)
    item_ids = item_universe(tables)
    whole = EventLog.from_table(tables.interactions, item_ids)
    frequent = np.bincount(whole.positives.rows, minlength=len(item_ids)) >= FEWEST_EVENTS
    interactions, log = _successive(tables.interactions.filter(pa.array(frequent[whole.rows])), item_ids)
    held = hold_out(log, distinct=tables.config.recommend.repeats != "always")
    if not len(held.test):
        raise DatasetError(
            f"{tables_dir}: leave-one-out needs a user with {SHORTEST} positive events; items with fewer than "
            f"{FEWEST_EVENTS} events do not count."
        )
    kept_ids = pa.array(item_ids[frequent], pa.string())
    out_dir.mkdir(parents=True, exist_ok=True)
    kept = interactions.filter(pa.array(~_dropped(log, held)))
    impressions = _impressions(tables.impressions, interactions, log, held, kept_ids)
    items = tables.items.filter(pc.is_in(tables.items["item_id"], value_set=kept_ids))
    write_parquet(out_dir / "interactions.parquet", kept)
    write_parquet(out_dir / "impressions.parquet", impressions)
    write_parquet(out_dir / "items.parquet", items)
    shutil.copyfile(tables.path("users"), out_dir / "users.parquet")
    split = _split(tables.split, int(log.times.min()), int(log.times.max()))
    num = {"interactions": kept.num_rows, "impressions": impressions.num_rows, "items": items.num_rows}
    description = tables.description | {
        "fingerprint": f"{tables.description['fingerprint']}-leave-one-out",
        "log_end": split.log_end,
        "split": split.model_dump(),
        "num": tables.num_rows | num,
        # Held-out events have no slate, so the ranker's groups are the table of held-out items.
        "has_slates": False,
        "has_own_slates": False,
    }
    write_parquet(out_dir / HELD_OUT_FILE, _held_out(interactions, held))
    write_json(out_dir / DESCRIPTION_FILE, description)
    return {"users": len(held.test), "items": int(frequent.sum()), "events": kept.num_rows}


def hold_out(log: EventLog, *, distinct: bool) -> HeldOutEvents:
    """The last positive events of each user with at least `SHORTEST` positive events.

    A user's targets of the ranker are the events before the validation event, at most half of them (rounded up, so that
    the history of the first target is not empty) and so many that all users have about `WANTED_TARGETS`.

    Args:
        log: Events by time, ties in file order.
        distinct: Whether only the first event of each item of a user counts.
    """
    positive = np.flatnonzero(log.grades > 0)
    if distinct:
        pairs = log.users[positive].astype(np.int64) * len(log.item_ids) + log.rows[positive]
        positive = positive[np.sort(np.unique(pairs, return_index=True)[1])]
    order = positive[np.argsort(log.users[positive], kind="stable")]
    counts = np.bincount(log.users[order], minlength=len(log.user_ids))
    long = counts >= SHORTEST
    ends = np.cumsum(counts)[long]
    most = math.ceil(WANTED_TARGETS / max(len(ends), 1))
    num = np.minimum((counts[long] - 2) // 2, most)
    at = np.repeat(ends - 2 - np.cumsum(num), num) + np.arange(num.sum())
    return HeldOutEvents(validation=order[ends - 2], test=order[ends - 1], targets=order[at])


def successive(users: npt.NDArray[np.integer], times: Int64Array) -> Int64Array:
    """Times that strictly increase within each user.

    Args:
        users: User of each event, ascending [n].
        times: Microseconds, ascending within a user [n].
    """
    later = times.copy()
    while True:
        tied = np.concatenate([[False], (users[1:] == users[:-1]) & (later[1:] <= later[:-1])])
        if not tied.any():
            return later
        first = np.maximum.accumulate(np.where(tied, 0, np.arange(len(tied))))
        later = np.where(tied, later[first] + np.arange(len(tied)) - first, later)


def _successive(interactions: pa.Table, item_ids: npt.NDArray[np.object_]) -> tuple[pa.Table, EventLog]:
    """The table with strictly increasing times of each user, in the order of the new times, and its events."""
    log = EventLog.from_table(interactions, item_ids)
    order = np.argsort(log.users, kind="stable")
    times = np.empty(len(log), dtype=np.int64)
    times[order] = successive(log.users[order], log.times[order])
    place = interactions.schema.get_field_index("timestamp")
    retimed = interactions.set_column(place, "timestamp", pa.array(times, pa.int64()).cast(TIMESTAMP))
    moved = retimed.take(pa.array(np.argsort(times, kind="stable")))
    return moved, EventLog.from_table(moved, item_ids)


def _split(old: Split, first: int, last: int) -> Split:
    """Everything is known at the end: no spans, and at most `MOST_CUTS` cuts, whole multiples of the old step apart."""
    start, end = first / MICROSECONDS, last / MICROSECONDS
    step = old.step * max(math.ceil((end - start) / old.step / MOST_CUTS), 1)
    after = round(end + 1 / MICROSECONDS, 6)
    return Split(log_start=start, rank_start=start, validation_start=after, test_start=after, log_end=end, step=step)


def _held_out(interactions: pa.Table, held: HeldOutEvents) -> pa.Table:
    """The held-out events with their roles, in the order of time."""
    roles = {"rank": held.targets, "validation": held.validation, "test": held.test}
    places = np.concatenate(list(roles.values()))
    role = np.repeat(np.array(list(roles)), [len(part) for part in roles.values()])
    order = np.argsort(places, kind="stable")
    taken = interactions.select(["user_id", "item_id", "timestamp", "grade"]).take(pa.array(places[order]))
    return taken.append_column("role", pa.array(role[order].tolist(), pa.string())).cast(HELD_OUT_SCHEMA)


def _dropped(log: EventLog, held: HeldOutEvents) -> npt.NDArray[np.bool_]:
    """Whether each event [n] is the user's validation event or later."""
    first = np.full(len(log.user_ids), len(log), dtype=np.int64)
    first[log.users[held.validation]] = held.validation
    return np.arange(len(log)) >= first[log.users]


def _impressions(
    impressions: pa.Table, interactions: pa.Table, log: EventLog, held: HeldOutEvents, kept_ids: pa.Array
) -> pa.Table:
    """Impressions of kept items before the validation event, without held-out items and answers to dropped events."""
    users = pc.index_in(impressions["user_id"], value_set=pa.array(log.user_ids, pa.string()))
    rows = pc.index_in(impressions["item_id"], value_set=pa.array(log.item_ids, pa.string()))
    user = pc.fill_null(users, -1).to_numpy().astype(np.int64)
    row = pc.fill_null(rows, -1).to_numpy().astype(np.int64)
    times = impressions["timestamp"].cast(pa.int64()).to_numpy()
    until = np.full(len(log.user_ids) + 1, np.iinfo(np.int64).max)
    until[log.users[held.validation]] = log.times[held.validation]
    width = len(log.item_ids)
    moved = np.concatenate([log.users[p].astype(np.int64) * width + log.rows[p] for p in (held.validation, held.test)])
    known = pc.is_in(impressions["item_id"], value_set=kept_ids).to_numpy(zero_copy_only=False)
    keep: npt.NDArray[np.bool_] = known & (times < until[user]) & ~np.isin(user * width + row, moved)
    keys = ["user_id", "request_id", "item_id"]
    later = interactions.filter(pa.array(_dropped(log, held))).select(keys).drop_null()
    numbered = impressions.select(keys).append_column("place", pa.array(np.arange(len(keep))))
    keep[numbered.join(later, keys, join_type="left semi")["place"].to_numpy()] = False
    return impressions.filter(pa.array(keep))
