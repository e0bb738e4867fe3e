"""The number of candidates that are ranked."""

from __future__ import annotations

import numpy as np
import pytest

from components.ranking.judging import JudgedQueries
from components.ranking.order.depth import DEPTHS, choose_depth

NUM = 700  # candidates of each query


def judged(places: list[int]) -> JudgedQueries:
    """Queries whose relevant candidate has a given place in the retrieval order."""
    relevant = np.zeros((len(places), NUM), dtype=np.bool_)
    relevant[np.arange(len(places)), places] = True
    return JudgedQueries(
        features=np.zeros((len(places) * NUM, 1), dtype=np.float32),
        relevant=relevant.ravel(),
        offsets=np.arange(len(places) + 1, dtype=np.int64) * NUM,
        num_relevant=np.ones(len(places), dtype=np.int64),
        user_ids=np.array([f"u{number}" for number in range(len(places))], dtype=object),
    )


@pytest.mark.parametrize(
    ("places", "expected"),
    [([0, 5, 199], 200), ([0, 5, 200], 300), ([0, 5, 399], 400), ([599], 600), ([0, 650], None)],
)
def test_the_depth_keeps_what_the_ranker_finds(places: list[int], expected: int | None) -> None:
    asked = judged(places)
    retrieval = -np.tile(np.arange(NUM, dtype=np.float64), len(places))
    assert choose_depth(asked, retrieval, asked.relevant.astype(np.float64)) == expected


def test_candidates_that_the_ranker_places_low_need_not_be_ranked() -> None:
    asked = judged([3, 650])
    retrieval = -np.tile(np.arange(NUM, dtype=np.float64), 2)
    assert choose_depth(asked, retrieval, retrieval) == DEPTHS[0]


def test_without_queries_all_candidates_are_ranked() -> None:
    assert choose_depth(judged([]), np.zeros(0), np.zeros(0)) is None
