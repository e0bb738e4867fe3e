"""Training rows: the recommender's own candidates, joined by what happened, the rest drawn evenly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.ranking.build import RowSampling, build_rows
from components.ranking.rows import RankingRows
from components.replay.groups import Groups
from components.replay.replay import Replay
from feature_repo.features.state import ItemColumns, TimeArray, UserColumns
from inference.candidates.query import Query
from tests.kit import world

NAMES = world.feature_set().ranker_features
PRICE = NAMES.index("item_log_price")
CUTS = world.NOW + world.DAY * np.array([-3.0, -2.0, -1.0, 0.0])


def make_groups(asked: Sequence[tuple[Query, dict[int, int]]], **columns: Any) -> Groups:
    """Groups of queries with item row -> grade."""
    flat = [outcome for _, outcomes in asked for outcome in outcomes.items()]
    grades = np.array([grade for _, grade in flat], dtype=np.int8)
    return Groups(
        queries=[query for query, _ in asked],
        offsets=np.concatenate(([0], np.cumsum([len(outcomes) for _, outcomes in asked]))).astype(np.int64),
        item_ids=np.array([world.item_id(row) for row, _ in flat], dtype=object),
        grades=grades,
        labels=np.stack([grades >= 1, grades >= 2], axis=1).astype(np.int8),
        shown=columns.get("shown", grades >= 0),
        positions=columns.get("positions", np.arange(len(flat), dtype=np.int32)),
        propensities=columns.get("propensities", np.full(len(flat), np.nan)),
    )


@dataclass
class Watched:
    """Reads users from a store and notes as of when; the catalogue is the same at any time."""

    store: world.Store
    asked: list[tuple[str, float]] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)

    def prefetch(self, user_ids: Sequence[str], times: TimeArray) -> None:
        pass

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        self.asked += zip(user_ids, times.tolist(), strict=True)
        return self.store.users(user_ids, times)

    def items(self, time: float) -> ItemColumns:
        self.cuts.append(time)
        return world.items()


def build(groups: Groups, negatives: int = 30, seed: int = 0, **parts: Any) -> RankingRows:
    artifacts = parts.get("artifacts") or world.artifacts()
    reader = parts.get("reader") or Watched(world.Store(artifacts.feature_set))
    return build_rows(groups, Replay(artifacts, reader, CUTS), RowSampling(negatives, seed), what="rows")


def item_rows(rows: RankingRows) -> npt.NDArray[np.int64]:
    """Which item each row is of, told by its price: no two are the same."""
    prices = world.items().numeric[:, 1]
    order = np.argsort(prices)
    assert (np.diff(prices[order]) > 0).all()
    found = order[np.searchsorted(prices[order], rows.features[:, PRICE])]
    np.testing.assert_array_equal(prices[found], rows.features[:, PRICE])
    return found


def candidates(query: Query) -> npt.NDArray[np.int64]:
    artifacts = world.artifacts()
    return world.recommender(artifacts).candidates([query]).rows.astype(np.int64)


def test_every_outcome_stays_with_its_grade_and_position() -> None:
    queries = [world.query(f"u{number}") for number in range(6)]
    asked = []
    for query in queries:
        found = candidates(query)
        asked.append((query, {int(found[3]): 1, int(found[40]): 2, int(found[-1]): 0}))
    rows = build(make_groups(asked))
    items, owner = item_rows(rows), rows.group_index
    for place, (_, outcomes) in enumerate(asked):
        for order, (item, grade) in enumerate(outcomes.items()):
            (at,) = np.flatnonzero((owner == place) & (items == item))
            assert rows.grades[at] == grade
            assert rows.labels[at].tolist() == [grade >= 1, grade >= 2]
            assert rows.positions[at] == 3 * place + order
            assert rows.shown[at]
            assert rows.outcomes[at] == 3 * place + order
            assert rows.brought[at]
    other = rows.positions < 0
    assert (rows.outcomes[other] == -1).all()
    assert np.bincount(owner[other]).tolist() == [30] * 6
    assert not rows.grades[other].any()
    assert not rows.labels[other].any()
    assert not rows.shown[other].any()


def test_an_item_no_source_brought_joins_unless_a_filter_rules_it_out() -> None:
    query = world.query("u1")
    catalogue = world.items()
    absent = set(range(world.NUM_ITEMS)) - set(candidates(query).tolist())
    unavailable = {row for row in absent if not catalogue.available[row]}
    not_yet = {row for row in absent if catalogue.created_at[row] > query.time}
    for row in (min(unavailable), min(not_yet)):
        assert row not in item_rows(build(make_groups([(query, {row: 2, int(candidates(query)[0]): 1})]))).tolist()
    made = world.artifacts()
    quotas = {**dict.fromkeys(made.config.quotas, 0), "popular": 5}
    artifacts = world.artifacts(config=made.config.model_copy(update={"quotas": quotas}))
    few = world.recommender(artifacts).candidates([query]).rows
    free = [
        row
        for row in range(world.NUM_ITEMS)
        if catalogue.available[row] and row not in few and row in candidates(query).tolist()
    ]
    rows = build(make_groups([(query, {free[0]: 1})]), artifacts=artifacts)
    (at,) = np.flatnonzero(item_rows(rows) == free[0])
    assert rows.grades[at] == 1
    assert not rows.brought[at]
    assert rows.brought.sum() == len(few)


def test_negatives_are_drawn_evenly_over_retrieval_order() -> None:
    query = world.query("u1")
    order = candidates(query)
    hit = {int(order[0]): 1}
    rows = build(make_groups([(query, hit)] * 400), negatives=30)
    places = {item: place for place, item in enumerate(order.tolist())}
    drawn = np.array([places[item] for item in item_rows(rows)[rows.grades == 0].tolist()])
    assert len(drawn) == 400 * 30
    counts = np.bincount(drawn, minlength=len(order))[1:]
    expected = 400 * 30 / (len(order) - 1)
    # Each is drawn in a binomial number of the groups: none may lie six standard deviations off.
    assert (abs(counts - expected) < 6 * np.sqrt(expected)).all()
    tenths = [part.sum() for part in np.array_split(counts, 10)]
    assert max(tenths) / min(tenths) < 1.15


def test_a_silent_group_keeps_only_what_was_shown() -> None:
    query = world.query("u1")
    found = candidates(query)
    silent = {int(found[2]): 0, int(found[7]): 0}
    rows = build(make_groups([(query, silent), (query, {int(found[0]): 1})]))
    assert rows.group_sizes.tolist() == [2, 31]
    assert sorted(item_rows(rows)[:2].tolist()) == sorted(silent)


def test_a_seed_draws_the_same_rows() -> None:
    groups = make_groups(
        [(world.query(f"u{number}"), {int(candidates(world.query("u0"))[0]): 1}) for number in range(5)]
    )
    first, again, other = (build(groups, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.features, again.features)
    assert first.features.tolist() != other.features.tolist()


def test_features_are_those_of_serving() -> None:
    query = world.query("u7", device="phone", country="GB")
    order = candidates(query)
    rows = build(make_groups([(query, {int(order[0]): 1})]), negatives=1_000)
    artifacts = world.artifacts()
    served = world.recommender(artifacts).candidates([query])
    assert served.features is not None
    place = {item: place for place, item in enumerate(served.rows.tolist())}
    np.testing.assert_array_equal(rows.features, served.features[[place[item] for item in item_rows(rows).tolist()]])


def test_state_is_never_later_than_the_query() -> None:
    rng = np.random.default_rng(0)
    queries = sorted(
        (world.query(f"u{n}", time=float(world.NOW - world.DAY * rng.uniform(0, 3))) for n in range(40)),
        key=lambda query: query.time,
    )
    queries.append(world.query("u50", time=float(CUTS[-1])))
    watched = Watched(world.Store(world.feature_set()))
    hit = {int(candidates(queries[-1])[0]): 1}
    build(make_groups([(query, hit) for query in queries]), reader=watched)
    assert watched.asked == [(query.user_id, query.time) for query in queries]
    assert watched.cuts == sorted({float(CUTS[query.time >= CUTS].max()) for query in queries})


@pytest.mark.parametrize("negatives", [1, 10_000])
def test_the_number_of_negatives_is_a_bound(negatives: int) -> None:
    query = world.query("u2")
    order = candidates(query)
    rows = build(make_groups([(query, {int(order[5]): 1})]), negatives=negatives)
    assert len(rows) == 1 + min(negatives, len(order) - 1)
    assert rows.group_sizes.tolist() == [len(rows)]
