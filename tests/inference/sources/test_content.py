"""The source of items with similar content."""

from __future__ import annotations

import numpy as np

from inference.candidates.batch import Batch
from inference.models.artifacts import Artifacts
from inference.models.neighbours import ContentNeighbours
from inference.sources.content import RECENCY_EVENTS, ContentSource
from tests.kit import world

TABLE = world.neighbours()


def made() -> Artifacts:
    return world.artifacts().with_parts(ContentNeighbours(TABLE.offsets, TABLE.rows, TABLE.weights))


def batch(artifacts: Artifacts, **context: str) -> Batch:
    queries = [world.query(f"u{number}", **context) for number in (1, 2, 9_999)]
    users = world.Store(artifacts.feature_set).users([query.user_id for query in queries], np.full(3, world.NOW))
    return Batch(queries, users)


def test_recent_events_have_more_votes() -> None:
    artifacts = made()
    asked = batch(artifacts)
    found = ContentSource(artifacts)(asked, 50)
    history = asked.users.history
    votes = np.zeros(world.NUM_ITEMS)
    first, stop = history.offsets[:2]
    for at in range(first, stop):
        others, weights = TABLE.of(int(history.rows[at]))
        votes[others] += 0.5 ** ((stop - 1 - at) / RECENCY_EVENTS) * weights
    span = slice(found.offsets[0], found.offsets[1])
    np.testing.assert_allclose(found.scores[span], np.sort(votes)[::-1][:50], rtol=1e-4)
    assert found.offsets[3] == found.offsets[2]  # an unknown user has no history


def test_a_release_without_the_table_is_not_asked() -> None:
    without = world.artifacts()
    assert not ContentSource(without).applies(batch(without)).any()
    artifacts = made()
    assert ContentSource(artifacts).applies(batch(artifacts)).all()


def test_a_reason_names_the_similar_item() -> None:
    artifacts = made()
    asked = batch(artifacts)
    source = ContentSource(artifacts)
    rows = source(asked, 5).rows[:5]
    titles = {artifacts.contents.title(int(row)) for row in asked.users.history.rows}
    for reason in source.reasons(asked, 0, rows):
        assert reason is not None
        assert reason.removeprefix("Similar to ") in titles
    seeded = batch(artifacts, surface="similar", item_id=world.item_id(7))
    expected = f"Similar to {artifacts.contents.title(7)}"
    assert list(source.reasons(seeded, 0, TABLE.of(7)[0][:3])) == [expected] * 3
