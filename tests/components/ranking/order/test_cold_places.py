"""How many places the validation span gives to items without an event."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from components.ranking.judging import JudgedQueries, judge_groups
from components.ranking.order.choice import ChosenOrder
from components.ranking.order.cold_places import EVERY, choose_cold_places
from components.ranking.order.fusion import fit_fusion
from components.replay.replay import Replay
from feature_repo.features.state import ItemColumns
from inference.models.cold_places import ColdPlaces
from inference.models.popularity import Popularity
from inference.scorers.order import Order
from inference.scorers.ranker import RankerDescription
from tests.components.ranking.order.test_fusion import FEATURES, make_rows
from tests.components.ranking.test_build import CUTS, Watched, make_groups
from tests.kit import world

GROUPS, ROWS, KNOWN = 50, 200, 150  # candidates of a query, the known ones first


def judged(relevant: list[int], *, known_cold: bool = True) -> JudgedQueries:
    """Queries that all like the candidates with these places."""
    mask = np.zeros((GROUPS, ROWS), dtype=np.bool_)
    mask[:, relevant] = True
    return JudgedQueries(
        features=np.zeros((GROUPS * ROWS, 1), dtype=np.float32),
        relevant=mask.ravel(),
        offsets=np.arange(GROUPS + 1, dtype=np.int64) * ROWS,
        num_relevant=np.full(GROUPS, len(relevant)),
        user_ids=np.array([f"u{number}" for number in range(GROUPS)], dtype=object),
        cold=np.tile(np.arange(ROWS) >= KNOWN, GROUPS) if known_cold else None,
    )


def scores() -> np.ndarray:
    """Known items before those without an event, each in order."""
    return np.tile(-np.arange(ROWS, dtype=np.float64), GROUPS)


def test_places_that_cost_nothing_get_the_largest_share() -> None:
    assert choose_cold_places(judged([0, 5, 30, KNOWN + 3]), scores()) == ColdPlaces(after=20, every=EVERY[0])


def test_places_that_push_liked_items_out_get_a_smaller_share() -> None:
    # At every 8th place, 10 new items push the known items from place 90 on out of the first 100.
    assert choose_cold_places(judged([0, 89, KNOWN + 40]), scores()) == ColdPlaces(after=20, every=8)
    assert choose_cold_places(judged([0, 99, KNOWN + 40]), scores()) == ColdPlaces(after=20, every=EVERY[-1])


def test_no_places_where_nobody_liked_an_item_without_an_event() -> None:
    assert choose_cold_places(judged([0, 30]), scores()) is None
    assert choose_cold_places(judged([0, KNOWN + 1], known_cold=False), scores()) is None


class Created(Watched):
    """A past in which every item was created long ago."""

    def items(self, time: float) -> ItemColumns:
        return replace(super().items(time), created_at=np.zeros(world.NUM_ITEMS))


def test_judged_queries_know_which_candidates_had_no_event() -> None:
    artifacts = world.artifacts()
    score = artifacts.part(Popularity).score.copy()
    score[::3] = 0.0
    items = world.items(created_at=np.zeros(world.NUM_ITEMS))
    made = replace(artifacts.with_parts(replace(artifacts.part(Popularity), score=score)), items=items)
    query = world.query("u7")
    rows = np.sort(world.recommender(made).candidates([query]).rows)
    groups = make_groups([(query, {int(rows[0]): 1})])
    found = judge_groups(groups, Replay(made, Created(world.Store(made.feature_set)), CUTS), limit=9, seed=0, what="")
    assert found.cold is not None
    assert found.cold.tolist() == (score[rows] == 0).tolist()
    assert found.cold.any()
    assert found.take(np.array([0])).cold is not None


def test_the_ranker_keeps_the_places(tmp_path: Path) -> None:
    fusion = fit_fusion(make_rows(100, 0), FEATURES)
    chosen = ChosenOrder(RankerDescription(), fusion, Order.of(fusion, FEATURES), ColdPlaces(after=20, every=6))
    chosen.save(tmp_path)
    assert ColdPlaces.load(tmp_path) == chosen.cold_places
