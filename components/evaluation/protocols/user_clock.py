"""Tables on the users' own clocks: every user asks at the same moment, with the own events at their distances to it.

Leave-one-out asks each user at another time, but models are fitted up to one time. So the events of each user move by a
constant: the held-out item falls on the start of the validation span, and the earlier events keep their distance to it.
Models that are fitted on these tables up to that moment know no held-out item. Weights fade with the age of an event at
its user's own query. Early stopping of towers watches the held-out items in the validation span.

Impressions are left out: their labels know later events. Item attributes keep their times.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.evaluation.protocols.log import MICROSECONDS, EventLog, Int64Array
from feature_repo.dataset.split import DAY, Split
from feature_repo.dataset.tables import DESCRIPTION_FILE, TIMESTAMP, PreparedTables, item_universe, unix_micros
from feature_repo.storage.files import write_json, write_parquet

Role = Literal["rank", "validation"]


def write_user_clock(tables_dir: Path, out_dir: Path, role: Role) -> dict[str, int]:
    """Writes the tables that a cutoff of leave-one-out is fitted on.

    Args:
        tables_dir: Output of `leave_one_out`.
        out_dir: Receives prepared tables; their cutoff `role` is the moment at which all users ask.
        role: `rank` holds out all targets of the ranker and later items, `validation` the validation items.

    Returns:
        Numbers of events before the moment, and of held-out items at it.
    """
    tables = PreparedTables.open(tables_dir)
    interactions = tables.interactions
    log = EventLog.from_table(interactions, item_universe(tables))
    held = _first(tables.held_out, role)
    users = np.searchsorted(log.user_ids, held["user_id"].to_numpy(zero_copy_only=False).astype(object))
    # A user without a held-out item would ask right after the last event.
    asked = np.zeros(len(log.user_ids), dtype=np.int64)
    np.maximum.at(asked, log.users, log.times + 1)
    asked[users] = unix_micros(held["timestamp"])
    before = log.times < asked[log.users]
    moment = int(log.times.max()) + 1
    times = log.times[before] + (moment - asked)[log.users[before]]
    order = np.argsort(times, kind="stable")
    schema = pa.schema([field.with_nullable(True) for field in interactions.schema])
    earlier = _at(interactions.filter(pa.array(before)), times).take(pa.array(order)).cast(schema)
    events = pa.concat_tables([earlier, _targets(held, schema, moment)])
    out_dir.mkdir(parents=True, exist_ok=True)
    write_parquet(out_dir / "interactions.parquet", events)
    write_parquet(out_dir / "impressions.parquet", tables.impressions.slice(0, 0))
    for table in ("items", "users"):
        shutil.copyfile(tables.path(table), out_dir / f"{table}.parquet")
    split = _split(int(times.min(initial=moment)), moment)
    description = tables.description | {
        "fingerprint": f"{tables.description['fingerprint']}-{role}",
        "log_end": split.log_end,
        "split": split.model_dump(),
        "asks_next": True,
        "num": tables.num_rows | {"interactions": events.num_rows, "impressions": 0},
    }
    write_json(out_dir / DESCRIPTION_FILE, description)
    return {"events": earlier.num_rows, "held_out": held.num_rows}


def _first(held_out: pa.Table, role: Role) -> pa.Table:
    """The first held-out item of each user with a role; the table is in the order of time."""
    mine = held_out.filter(pc.equal(held_out["role"], role))
    users = mine["user_id"].to_numpy(zero_copy_only=False).astype(object)
    return mine.take(pa.array(np.unique(users, return_index=True)[1]))


def _at(events: pa.Table, times: Int64Array) -> pa.Table:
    """The events at other times, microseconds."""
    place = events.schema.get_field_index("timestamp")
    return events.set_column(place, "timestamp", pa.array(times, pa.int64()).cast(TIMESTAMP))


def _targets(held: pa.Table, schema: pa.Schema, moment: int) -> pa.Table:
    """Held-out items as interactions at the moment, without context."""
    known = {name: held[name] for name in ("user_id", "item_id", "grade")}
    columns = [known[field.name] if field.name in known else pa.nulls(held.num_rows, field.type) for field in schema]
    bare = pa.table(columns, schema=schema)
    numbered = bare.set_column(schema.get_field_index("row"), schema.field("row"), pa.array(range(held.num_rows)))
    return _at(numbered, np.full(held.num_rows, moment)).cast(schema)


def _split(first: int, moment: int) -> Split:
    """Daily cuts; the moment is one of them and starts the validation span, a day before the end."""
    start, at = first / MICROSECONDS, moment / MICROSECONDS
    return Split(
        log_start=start, rank_start=at, validation_start=at, test_start=round(at + DAY, 6), log_end=round(at + DAY, 6)
    )
