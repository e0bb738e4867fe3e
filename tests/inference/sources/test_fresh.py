"""Items without an event: which ones are candidates, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import inference.sources.fresh as module
from inference.candidates.batch import Batch
from inference.candidates.found import Found
from inference.models.artifacts import Artifacts
from inference.models.popularity import Popularity
from inference.sources.fresh import FreshSource
from tests.kit import world

UNSEEN = np.arange(100, 160)


def made(**changes: Any) -> Artifacts:
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


def standard(scores: Any) -> np.ndarray:
    values = np.asarray(scores, dtype=np.float64)
    return (values - values.mean()) / values.std()


def content_scores(asked: Batch, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard score of the content of the items `UNSEEN` for a query, and the mean vector of its history."""
    history, vectors = asked.users.history, world.embeddings()
    rows = history.rows[history.offsets[place] : history.offsets[place + 1]]
    weights = 0.5 ** (np.arange(len(rows))[::-1] / module.RECENCY_EVENTS)
    mean = weights @ vectors[rows] / weights.sum()
    seen = np.setdiff1d(np.arange(world.NUM_ITEMS), UNSEEN)
    around = vectors[UNSEEN] - vectors[UNSEEN].mean(axis=0)
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    return standard(around @ (mean - vectors[seen].mean(axis=0))), mean


def listed(found: Found, place: int) -> list[int]:
    rows: list[int] = found.rows[found.offsets[place] : found.offsets[place + 1]].tolist()
    return rows


def test_items_nobody_chose_are_ordered_by_content_and_category_of_the_history() -> None:
    artifacts = made()
    asked = batch(artifacts)
    found = FreshSource(artifacts)(asked, 10)
    assert np.diff(found.offsets).tolist() == [10, 10, 0]  # the third user is unknown
    assert found.vectors is not None
    for place in range(2):
        content, mean = content_scores(asked, place)
        # All events of a user of the world are in one category, so that the other categories are equal.
        score = content + standard(place + 1 == UNSEEN % 4)
        assert listed(found, place) == UNSEEN[np.argsort(-score, kind="stable")][:10].tolist()
        np.testing.assert_allclose(found.vectors[place], mean / np.linalg.norm(mean), atol=1e-6)
    assert not found.vectors[2].any()


def test_items_that_are_shown_more_often_come_first() -> None:
    names = ("num_impressions_1d", "num_impressions_7d", "log_price")
    shown = np.random.default_rng(0).poisson(3, (world.NUM_ITEMS, 3)).astype(np.float32)
    shown[UNSEEN[0], :] = np.nan
    features = world.feature_set().model_copy(update={"item_numeric": names})
    artifacts = replace(made(numeric=shown), feature_set=features)
    asked = batch(artifacts)
    score = content_scores(asked, 0)[0] + standard(UNSEEN % 4 == 1)
    for column in range(2):
        score = score + module.IMPRESSIONS_WEIGHT * standard(np.log1p(np.nan_to_num(shown[UNSEEN, column])))
    assert listed(FreshSource(artifacts)(asked, 60), 0) == UNSEEN[np.argsort(-score, kind="stable")].tolist()


def test_one_query_is_a_batch_of_one() -> None:
    artifacts = made()
    asked = batch(artifacts)
    together = FreshSource(artifacts)(asked, 20)
    for place in range(3):
        alone = FreshSource(artifacts)(asked.part(place, place + 1), 20)
        assert alone.rows.tolist() == listed(together, place)


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
