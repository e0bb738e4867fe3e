"""Sources that vote through a table: whose votes count, and how they fade."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inference.candidates.batch import Batch
from inference.models.artifacts import Artifacts
from inference.models.neighbours import Followers, Neighbours, Predictors
from inference.sources.similar import SimilarSource
from inference.sources.transitions import TransitionsSource
from inference.sources.voting import VotingSource
from tests.kit import world

TABLE = world.neighbours()
PARTS = (
    Followers(TABLE.offsets, TABLE.rows, TABLE.weights, fade=0.5),
    Predictors(TABLE.offsets, TABLE.rows, TABLE.weights, half_life_days=3.0),
)


def made() -> Artifacts:
    return world.artifacts().with_parts(*PARTS)


def batch(artifacts: Artifacts, **context: str) -> Batch:
    queries = [world.query(f"u{number}", **context) for number in (1, 2, 9_999)]
    users = world.Store(artifacts.feature_set).users([query.user_id for query in queries], np.full(3, world.NOW))
    return Batch(queries, users)


@pytest.mark.parametrize(
    ("source", "vote"),
    [
        (TransitionsSource, lambda steps, _days: 0.5**steps),
        (SimilarSource, lambda _steps, days: 0.5 ** (days / 3.0)),
    ],
)
def test_votes_fade_with_the_steps_or_with_the_age(source: type[VotingSource], vote) -> None:
    artifacts = made()
    asked = batch(artifacts)
    found = source(artifacts)(asked, 50)
    assert found.offsets[-1] == found.offsets[-2] > 0  # an unknown user has no history
    for place in range(2):
        votes = np.zeros(world.NUM_ITEMS)
        first, stop = asked.users.history.offsets[place : place + 2]
        for at in range(first, stop):
            row = int(asked.users.history.rows[at])
            days = (world.NOW - asked.users.history.times[at]) / world.DAY
            others, weights = TABLE.of(row)
            votes[others] += vote(stop - 1 - at, days) * weights
        span = slice(found.offsets[place], found.offsets[place + 1])
        np.testing.assert_allclose(found.scores[span], np.sort(votes)[::-1][:50], rtol=1e-4)
        np.testing.assert_allclose(found.scores[span], votes[found.rows[span]], rtol=1e-4)


def test_the_item_in_view_votes_like_the_latest_event() -> None:
    artifacts = made()
    for source in (TransitionsSource, SimilarSource):
        offsets, rows, votes = source(artifacts).seeds(batch(artifacts, last_item_id=world.item_id(7)))
        assert rows[offsets[1:] - 1].tolist() == [7, 7, 7]
        assert votes[offsets[1:] - 1].tolist() == [1.0, 1.0, 1.0]


def test_a_reason_names_the_history_item_of_the_closest_neighbour() -> None:
    artifacts = made()
    asked = batch(artifacts)
    source = TransitionsSource(artifacts)
    found = source(asked, 5)
    reasons = source.reasons(asked, 0, found.rows[:5])
    assert all(reason is not None and reason.startswith("Because you ") for reason in reasons)


def test_tables_are_stored_with_their_settings(tmp_path) -> None:
    for part in (TABLE, *PARTS):
        part.save(tmp_path)
        loaded = type(part).load(tmp_path)
        np.testing.assert_array_equal(loaded.rows, part.rows)
        assert replace(loaded, offsets=part.offsets, rows=part.rows, weights=part.weights) == replace(part)
    assert len(list(tmp_path.iterdir())) == 3
    assert isinstance(Neighbours.load(tmp_path), Neighbours)
