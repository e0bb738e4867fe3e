"""Each query is answered once, by the recommender of the last cut before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from components.replay.replay import Replay
from feature_repo.features.state import ItemColumns, TimeArray, UserColumns
from inference.models.artifacts import Artifacts
from inference.models.neighbours import Neighbours
from inference.recommender import BATCH
from tests.kit import world

CUTS = world.NOW + world.DAY * np.array([-2.0, -1.0, 0.0])


@dataclass
class PastStore:
    """Users of the small world; the catalogue carries the cut in the column of prices."""

    store: world.Store = field(default_factory=lambda: world.Store(world.feature_set()))
    prefetched: list[tuple[str, float]] = field(default_factory=list)

    def prefetch(self, user_ids: Sequence[str], times: TimeArray) -> None:
        self.prefetched += zip(user_ids, times.tolist(), strict=True)

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        return self.store.users(user_ids, times)

    def items(self, time: float) -> ItemColumns:
        return world.items(price=np.full(world.NUM_ITEMS, time))


def test_a_query_belongs_to_the_last_cut_before_it() -> None:
    days = [0.5, -3.0, -1.5, 0.0, -1.0, -2.0, -0.25]
    queries = [world.query(f"u{place}", time=world.NOW + day * world.DAY) for place, day in enumerate(days)]
    store = PastStore()
    replay = Replay(world.artifacts(), store, CUTS)
    found = {
        float(recommender.artifacts.items.price[0]): places.tolist()
        for recommender, places in replay.by_cut(queries, "queries")
    }
    assert found == {float(CUTS[0]): [1, 2, 5], float(CUTS[1]): [4, 6], float(CUTS[2]): [0, 3]}
    assert list(found) == CUTS.tolist()
    assert store.prefetched == [(query.user_id, query.time) for query in queries]


def test_cuts_without_queries_cost_nothing_and_no_queries_no_cut() -> None:
    renewed: list[float] = []

    def renew(artifacts: Artifacts, cut: float) -> Artifacts:
        renewed.append(cut)
        return artifacts

    replay = Replay(world.artifacts(), PastStore(), CUTS, renew=renew)
    assert len(list(replay.by_cut([world.query("u1", time=float(CUTS[1]))], "queries"))) == 1
    assert renewed == [float(CUTS[1])]
    assert list(replay.by_cut([], "queries")) == []


def test_batches_hold_every_query_of_a_cut_in_order() -> None:
    number = BATCH + 30
    queries = [
        world.query(f"u{place % 50}", time=float(CUTS[place % 2]), request_id=f"r{place}") for place in range(number)
    ]
    replay = Replay(world.artifacts(), PastStore(), CUTS)
    parts = list(replay.batches(queries, "queries"))
    for part in parts:
        assert [query.request_id for query in part.batch.queries] == [f"r{place}" for place in part.places]
        assert set(part.recommender.artifacts.items.price) == {float(CUTS[part.places[0] % 2])}
    assert sorted(place for part in parts for place in part.places) == list(range(number))


def test_a_recommender_of_a_cut_is_renewed_and_keeps_the_rest() -> None:
    base = world.artifacts()
    replay = Replay(base, PastStore(), CUTS, renew=lambda artifacts, cut: replace(artifacts, version=str(cut)))
    made = replay.recommender(float(CUTS[1])).artifacts
    assert made.version == str(float(CUTS[1]))
    assert made.part(Neighbours) is base.part(Neighbours)
    assert made.items.price[0] == CUTS[1]
