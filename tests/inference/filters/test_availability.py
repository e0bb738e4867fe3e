from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference.candidates.batch import Batch
from inference.candidates.users import cold_users
from inference.filters.availability import AvailabilityFilter, least_age
from inference.flow.merge import bare, with_rows
from tests.kit import world


@pytest.mark.parametrize(
    ("country", "age", "expected"),
    [
        ("DE", 1, {0, 1, 2, 3}),
        ("GB", 1, {0, 2, 3}),
        ("", 0, {0, 1, 2, 3}),
        ("DE", 2, {0, 1, 2}),
        ("DE", 4, {0, 1, 2, 3}),
    ],
)
def test_availability(country, age, expected):
    items = world.items(
        available=np.arange(world.NUM_ITEMS) != 4,
        regions=np.where(np.arange(world.NUM_ITEMS) == 1, "DE|AT", "").astype(object),
        min_age=np.where(np.arange(world.NUM_ITEMS) == 3, 18, 0).astype(np.float32),
        created_at=np.where(np.arange(world.NUM_ITEMS) == 5, world.NOW + 1, np.nan),
    )
    made = world.artifacts(items=items)
    users = replace(cold_users(1, made.feature_set), categorical=np.array([[0, age]], np.int32))
    users = replace(users, country=np.array([country], dtype=object))
    rows = np.arange(6, dtype=np.int32)

    candidates = with_rows(bare(np.zeros(2, np.int64), rows[:0], 4), np.zeros(6, np.int64), rows, world.NUM_ITEMS)
    mask = AvailabilityFilter(made)(Batch([world.query()], users), candidates)
    assert set(candidates.rows[mask].tolist()) == expected


@pytest.mark.parametrize(
    ("group", "age"), [("18-24", 18), ("<18", 0), ("65+", 65), ("under 18", 0), ("25", 25), ("", None), ("adult", None)]
)
def test_least_age(group, age):
    found = least_age(group)
    assert np.isnan(found) if age is None else found == age
