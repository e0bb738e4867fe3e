from __future__ import annotations

from dataclasses import replace

import numpy as np

from inference.candidates.batch import Batch
from inference.candidates.users import cold_users
from inference.sources.own import OwnSource
from tests.kit import world


def test_own_source_prefers_often_and_lately():
    made = world.artifacts("always")
    users = cold_users(1, made.feature_set)
    own = replace(
        users.own,
        offsets=np.array([0, 4]),
        rows=np.array([1, 2, 3, 4], np.int32),
        counts=np.array([5, 1, 1, 0], np.float32),
        negatives=np.array([0, 0, 0, 1], np.float32),
        grades=np.array([1, 1, 2, 0], np.int8),
        first=np.full(4, world.NOW - 90 * world.DAY),
        last=world.NOW - world.DAY * np.array([1.0, 30.0, 2.0, 1.0]),
    )
    batch = Batch([world.query()], replace(users, own=own))
    found = OwnSource(made)(batch, 10)
    assert found.rows.tolist() == [1, 3, 2]  # item 4 was only ever turned down
    assert OwnSource(made)(batch, 2).rows.tolist() == [1, 3]
    assert OwnSource(world.artifacts("until-converted"))(batch, 10).rows.tolist() == [1, 2]
    assert OwnSource(world.artifacts("never"))(batch, 10).rows.tolist() == []
