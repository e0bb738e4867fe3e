"""The queries of held-out items: each item of leave-one-out is asked for at its own time, in a separate group."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow.compute as pc

from components.replay.groups import Groups
from feature_repo.dataset.tables import PreparedTables, unix_seconds
from inference.candidates.query import Query


def held_out_groups(tables: PreparedTables, role: Literal["rank", "validation"], *, limit: int, seed: int) -> Groups:
    """The groups of the held-out items with a role, in order of time.

    Queries before the first cut are left out: the state of that cut would hold their own items.

    Args:
        tables: Tables of leave-one-out.
        role: Targets of the ranker, or validation items.
        limit: Maximum number of groups; the seed selects the sample.
        seed: Seed of the sample.
    """
    held = tables.held_out.filter(pc.equal(tables.held_out["role"], role))
    held = held.filter(unix_seconds(held["timestamp"]) >= tables.split.cuts()[0])
    drawn = np.random.default_rng(seed).permutation(held.num_rows)[:limit]
    held = held.take(np.sort(drawn))
    grades = held["grade"].to_numpy()
    users, times = held["user_id"].to_pylist(), unix_seconds(held["timestamp"]).tolist()
    return Groups(
        queries=[
            Query(user_id=user, time=time, request_id=f"{role}-{place}")
            for place, (user, time) in enumerate(zip(users, times, strict=True))
        ],
        offsets=np.arange(held.num_rows + 1),
        item_ids=held["item_id"].to_numpy(zero_copy_only=False).astype(object),
        grades=grades,
        labels=(grades[:, None] == np.arange(1, len(tables.objectives) + 1)).astype(np.int8),
        shown=np.zeros(held.num_rows, dtype=np.bool_),
        positions=np.full(held.num_rows, -1, dtype=np.int32),
        propensities=np.full(held.num_rows, np.nan),
    )
