from __future__ import annotations

import numpy as np

from inference.candidates.users import span
from tests.kit import world


def test_spans_of_users_are_the_users_asked_alone():
    store = world.Store(world.feature_set())
    ids = ["u1", "nobody", "u2", "u3"]
    whole = store.users(ids, np.full(4, world.NOW))
    part = span(whole, 1, 3)
    alone = store.users(ids[1:3], np.full(2, world.NOW))
    for name in ("known", "numeric", "categorical", "country"):
        assert np.array_equal(getattr(part, name), getattr(alone, name), equal_nan=name == "numeric")
    for name in ("offsets", "rows", "grades", "times"):
        assert np.array_equal(getattr(part.history, name), getattr(alone.history, name))
    for name in ("offsets", "rows", "counts", "negatives", "grades", "first", "last"):
        assert np.array_equal(getattr(part.own, name), getattr(alone.own, name))
