"""Leave-one-out as a re-timed copy of prepared tables, so that all code for time spans applies to it.

Contract 2: items with fewer than 5 positive events are dropped. By time, with ties in file order, each user's last
positive item is the test item and the item before it is the validation item. Both move to separate spans after the
log's end; all other events keep their times. To avoid leakage, the user's other events from the validation item onwards
are dropped, and so are impressions of the moved items and impressions with a dropped event, whose labels know it. The
moved rows lose session_id and request_id. If own items may not come again, only the first event of each item counts.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.evaluation.protocols.log import EventLog, Int64Array, microseconds
from components.evaluation.protocols.setting import PROTOCOL_KEY
from feature_repo.dataset.split import RANK_SHARE, Split
from feature_repo.dataset.tables import DESCRIPTION_FILE, TIMESTAMP, PreparedTables, item_universe
from feature_repo.errors import DatasetError
from feature_repo.storage.files import write_json, write_parquet

FEWEST_EVENTS = 5
SHORTEST = 3


@dataclass(frozen=True, slots=True)
class HeldOutEvents:
    """Held-out events as positions in the interactions table; entry i of both arrays belongs to the same user [h]."""

    validation: Int64Array
    test: Int64Array


def leave_one_out(tables_dir: Path, out_dir: Path) -> dict[str, int]:
    """Writes the re-timed copy.

    Args:
        tables_dir: Clean prepared tables.
        out_dir: Receives prepared tables with `"protocol": "leave-one-out"` in dataset.json.

    Returns:
        Numbers of remaining users, items and events.

    Raises:
        DatasetError: No user has three positive events with items that have five.
    """
    tables = PreparedTables.open(tables_dir)
    item_ids = item_universe(tables)
    whole = EventLog.from_table(tables.interactions, item_ids)
    frequent = np.bincount(whole.positives.rows, minlength=len(item_ids)) >= FEWEST_EVENTS
    interactions = tables.interactions.filter(pa.array(frequent[whole.rows]))
    log = whole.where(frequent[whole.rows])
    held = hold_out(log, distinct=tables.config.recommend.repeats != "always")
    if not len(held.test):
        raise DatasetError(
            f"{tables_dir}: leave-one-out needs a user with {SHORTEST} positive events; items with fewer than "
            f"{FEWEST_EVENTS} events do not count."
        )
    split = _split(tables.split)
    kept_ids = pa.array(item_ids[frequent], pa.string())
    out_dir.mkdir(parents=True, exist_ok=True)
    moved = _interactions(interactions, log, held, split)
    impressions = _impressions(tables.impressions, interactions, log, held, kept_ids)
    items = tables.items.filter(pc.is_in(tables.items["item_id"], value_set=kept_ids))
    write_parquet(out_dir / "interactions.parquet", moved)
    write_parquet(out_dir / "impressions.parquet", impressions)
    write_parquet(out_dir / "items.parquet", items)
    shutil.copyfile(tables.path("users"), out_dir / "users.parquet")
    num = tables.num_rows | {
        "interactions": moved.num_rows,
        "impressions": impressions.num_rows,
        "items": items.num_rows,
    }
    description: dict[str, Any] = tables.description | {
        PROTOCOL_KEY: "leave-one-out",
        "fingerprint": f"{tables.description['fingerprint']}-leave-one-out",
        "log_end": split.log_end,
        "split": split.model_dump(),
        "num": num,
    }
    # Moved events have lost their slates, so the ranker groups by session and day.
    description["has_slates"] = description["has_own_slates"] = False
    write_json(out_dir / DESCRIPTION_FILE, description)
    return {"users": len(held.test), "items": int(frequent.sum()), "events": moved.num_rows}


def hold_out(log: EventLog, *, distinct: bool) -> HeldOutEvents:
    """The last two positive events of each user with at least `SHORTEST` positive events.

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
    ends = np.cumsum(counts)[counts >= SHORTEST]
    return HeldOutEvents(validation=order[ends - 2], test=order[ends - 1])


def _split(old: Split) -> Split:
    """Validation and test spans of one step each after the old end; the ranker's span has the length of D5."""
    step = old.step
    validation_start = round(old.log_end + 1e-6, 6)
    before = (validation_start - old.log_start) / step
    wanted = round(4 * (old.test_start - old.validation_start) / step)
    rank_steps = max(min(wanted, int(RANK_SHARE * before)), 1)
    return Split(
        log_start=old.log_start,
        rank_start=max(round(validation_start - rank_steps * step, 6), old.log_start),
        validation_start=validation_start,
        test_start=round(validation_start + step, 6),
        log_end=round(validation_start + 2 * step, 6),
        step=step,
    )


def _interactions(interactions: pa.Table, log: EventLog, held: HeldOutEvents, split: Split) -> pa.Table:
    """Kept events with their times, then validation events, then test events, each in the order of the log."""
    schema = pa.schema([field.with_nullable(True) for field in interactions.schema])
    kept = interactions.filter(pa.array(~_dropped(log, held)))
    parts = [kept.cast(schema)]
    for places, start in ((held.validation, split.validation_start), (held.test, split.test_start)):
        ordered = np.sort(places)
        taken = interactions.take(pa.array(ordered)).cast(schema)
        times = pa.array(microseconds(start) + np.arange(len(ordered)), pa.int64()).cast(TIMESTAMP)
        taken = taken.set_column(taken.schema.get_field_index("timestamp"), "timestamp", times)
        for name in ("session_id", "request_id"):
            field = taken.schema.field(name)
            taken = taken.set_column(
                taken.schema.get_field_index(name), name, pa.nulls(taken.num_rows, type=field.type)
            )
        parts.append(taken.cast(schema))
    return pa.concat_tables(parts)


def _dropped(log: EventLog, held: HeldOutEvents) -> npt.NDArray[np.bool_]:
    """Whether each event [n] is the user's validation event or later."""
    first = np.full(len(log.user_ids), len(log), dtype=np.int64)
    first[log.users[held.validation]] = held.validation
    return np.arange(len(log)) >= first[log.users]


def _impressions(
    impressions: pa.Table, interactions: pa.Table, log: EventLog, held: HeldOutEvents, kept_ids: pa.Array
) -> pa.Table:
    """Impressions of kept items before the user's validation event, without those of moved items or dropped events."""
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
