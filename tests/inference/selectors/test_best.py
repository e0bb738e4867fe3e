"""The slate of the best candidates, with the places of items without an event."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inference.candidates.batch import Batch
from inference.candidates.query import CandidateSet, Query
from inference.flow.merge import bare
from inference.models.artifacts import Artifacts
from inference.models.cold_places import ColdPlaces
from inference.models.popularity import Popularity
from inference.selectors.best import BestSelector
from tests.kit import world

NUM, NEW = 100, np.arange(60, 100)  # candidates by score; the last ones have no event


def made(places: ColdPlaces | None) -> Artifacts:
    artifacts = world.artifacts()
    score = np.ones(world.NUM_ITEMS, dtype=np.float32)
    score[NEW] = 0.0
    config = artifacts.config.model_copy(update={"cold_places": places})
    items = world.items(created_at=np.full(world.NUM_ITEMS, world.NOW - world.DAY))
    return replace(artifacts.with_parts(replace(artifacts.part(Popularity), score=score)), config=config, items=items)


def source_ranks(rows: np.ndarray) -> np.ndarray:
    """The towers find every item but the last 10, which the top-up adds behind all quotas."""
    ranks = np.full((len(rows), 4), np.nan, dtype=np.float32)
    found = rows < NUM - 10
    ranks[found, 0], ranks[~found, 3] = 0, 1_000
    return ranks


def slates(artifacts: Artifacts, queries: list[Query]) -> list[CandidateSet]:
    """The slate of each query, whose candidates are the rows 0..99 without those it excludes, best first."""
    users = world.Store(artifacts.feature_set).users([query.user_id for query in queries], np.zeros(len(queries)))
    given = [np.setdiff1d(np.arange(NUM), artifacts.rows_of(query.exclude)) for query in queries]
    offsets = np.concatenate(([0], np.cumsum([len(rows) for rows in given]))).astype(np.int64)
    rows = np.concatenate(given).astype(np.int32)
    candidates = bare(offsets, rows, 4).with_scores((NUM - rows).astype(np.float32))
    candidates = replace(candidates, features=rows[:, None].astype(np.float32), source_ranks=source_ranks(rows))
    top = BestSelector(artifacts)(Batch(queries, users), candidates)
    return [top.keep(top.query_index == place) for place in range(len(queries))]


def test_places_below_the_first_page_are_for_items_without_an_event() -> None:
    (slate,) = slates(made(ColdPlaces(after=20, every=5)), [world.query("u1", count=50)])
    assert slate.rows[:20].tolist() == list(range(20))
    new = np.flatnonzero(np.isin(slate.rows, NEW))
    assert new.tolist() == [24, 29, 34, 39, 44, 49]
    assert slate.rows[new].tolist() == NEW[:6].tolist()  # in the ranker's order
    assert slate.features is not None
    assert slate.features[:, 0].tolist() == slate.rows.tolist()
    assert (np.diff(slate.score) <= 0).all()
    assert slate.score[24] == slate.score[25]


def test_a_release_without_places_keeps_the_order_by_score() -> None:
    (slate,) = slates(made(None), [world.query("u1", count=50)])
    assert slate.rows.tolist() == list(range(50))


def test_pages_are_the_parts_of_one_list() -> None:
    artifacts = made(ColdPlaces(after=20, every=3))
    (whole,) = slates(artifacts, [world.query("u1", count=NUM)])
    shown: list[int] = []
    for count in (15, 20, 7, 30, 28):
        exclude = frozenset(world.item_id(row) for row in shown)
        (page,) = slates(artifacts, [world.query("u1", count=count, exclude=exclude)])
        shown += page.rows.tolist()
    assert shown == whole.rows.tolist()


def test_queries_of_a_batch_do_not_change_each_other() -> None:
    artifacts = made(ColdPlaces(after=20, every=3))
    exclude = frozenset(world.item_id(row) for row in (*range(20), 60, 61))
    queries = [
        world.query("u1", count=10),
        world.query("u2", count=40),
        world.query("u3", count=40, surface="similar", item_id=world.item_id(8)),
        world.query("u4", count=12, exclude=exclude),
    ]
    together = slates(artifacts, queries)
    assert [slate.rows.tolist() for slate in together] == [
        slates(artifacts, [query])[0].rows.tolist() for query in queries
    ]
    assert not np.isin(together[2].rows, NEW).any()  # similar items have no such places
    assert np.isin(together[1].rows, NEW).any()


def test_new_items_that_only_fill_up_a_list_are_not_moved() -> None:
    (slate,) = slates(made(ColdPlaces(after=20, every=2)), [world.query("u1", count=NUM)])
    assert np.flatnonzero(slate.rows >= NUM - 10).tolist() == list(range(NUM - 10, NUM))


def test_items_without_a_creation_time_are_not_moved() -> None:
    artifacts = made(ColdPlaces(after=20, every=5))
    created = artifacts.items.created_at.copy()
    created[NEW[:3]] = np.nan
    (slate,) = slates(replace(artifacts, items=world.items(created_at=created)), [world.query("u1", count=30)])
    assert slate.rows[[24, 29]].tolist() == NEW[3:5].tolist()


def test_a_list_of_new_items_only_stays_in_the_rankers_order() -> None:
    artifacts = made(ColdPlaces(after=2, every=2))
    score = np.zeros(world.NUM_ITEMS, dtype=np.float32)
    unseen = artifacts.with_parts(replace(artifacts.part(Popularity), score=score))
    (slate,) = slates(unseen, [world.query("u1", count=50)])
    assert slate.rows.tolist() == list(range(50))
