"""Items without an event: which ones are candidates, and in which order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import inference.sources.fresh as module
from inference.candidates.batch import Batch
from inference.models.artifacts import Artifacts
from inference.models.popularity import Popularity
from inference.sources.fresh import FreshSource
from tests.kit import world

UNSEEN = np.arange(100, 160)


def made(**changes: np.ndarray) -> Artifacts:
    """The world, in which nobody chose the items `UNSEEN`; all of them were created in the last hours."""
    artifacts = world.artifacts()
    popularity = artifacts.part(Popularity)
    score = np.maximum(popularity.score, 1.0)
    score[UNSEEN] = 0.0
    created = np.full(world.NUM_ITEMS, world.NOW - world.DAY)
    created[UNSEEN] = world.NOW - 3600.0 * np.arange(1, 61)
    items = world.items(**{"created_at": created, "available": np.ones(world.NUM_ITEMS, dtype=bool), **changes})
    return replace(artifacts.with_parts(replace(popularity, score=score)), items=items)


def batch(artifacts: Artifacts, time: float = world.NOW) -> Batch:
    queries = [world.query(user, time=time) for user in ("u1", "u2", "u9999")]
    users = world.Store(artifacts.feature_set).users([query.user_id for query in queries], np.full(3, time))
    return Batch(queries, users)


def test_items_nobody_chose_are_ordered_by_the_mean_vector_of_the_history() -> None:
    artifacts = made()
    asked = batch(artifacts)
    found = FreshSource(artifacts)(asked, 10)
    assert np.diff(found.offsets).tolist() == [10, 10, 0]  # the third user is unknown
    history, vectors = asked.users.history, world.embeddings()
    means = found.vectors
    assert means is not None
    for place in range(2):
        rows = history.rows[history.offsets[place] : history.offsets[place + 1]]
        weights = 0.5 ** (np.arange(len(rows))[::-1] / module.RECENCY_EVENTS)
        mean = weights @ vectors[rows]
        near = UNSEEN[np.argsort(-(vectors[UNSEEN] @ mean), kind="stable")][:10]
        assert found.rows[found.offsets[place] : found.offsets[place + 1]].tolist() == near.tolist()
        np.testing.assert_allclose(means[place], mean / np.linalg.norm(mean), atol=1e-6)
    assert not means[2].any()


def test_items_that_may_not_be_shown_or_without_a_creation_time_are_no_candidates() -> None:
    created = made().items.created_at.copy()
    created[UNSEEN[:20]] = np.nan
    created[UNSEEN[20:30]] = world.NOW + world.DAY
    available = np.ones(world.NUM_ITEMS, dtype=bool)
    available[UNSEEN[30:40]] = False
    artifacts = made(created_at=created, available=available)
    found = FreshSource(artifacts)(batch(artifacts), 100)
    assert set(found.rows.tolist()) == set(UNSEEN[40:].tolist())
    later = FreshSource(artifacts)(batch(artifacts, world.NOW + 2 * world.DAY), 100)
    assert set(later.rows.tolist()) == set(UNSEEN[20:30].tolist()) | set(UNSEEN[40:].tolist())


def test_the_newest_of_many_items_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FRESH", 7)
    assert FreshSource(made()).rows.tolist() == UNSEEN[:7].tolist()


def test_nothing_is_found_without_towers_or_without_such_items() -> None:
    artifacts = made()
    without = replace(artifacts, parts={Popularity: artifacts.part(Popularity)})
    assert len(FreshSource(without)(batch(without), 10).rows) == 0
    assert len(FreshSource(world.artifacts())(batch(world.artifacts()), 10).rows) == 0
    assert (
        FreshSource(artifacts).reasons(batch(artifacts), 0, UNSEEN[:2].astype(np.int32))
        == ["New, and close to what you chose"] * 2
    )
