from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.errors import FeatureStoreError, PredictorError
from inference.candidates.timeouts import Timeouts
from inference.flow.executor import Executor
from inference.models.neighbours import Neighbours
from inference.models.popularity import Popularity
from inference.recommender import Recommender
from inference.scorers.protocol import Scorer
from inference.sources.covisitation import CovisitationSource
from inference.stages import Stages
from tests.kit import world


class SumScorer(Scorer):
    """Scores by one feature column, so that the order is known."""

    name = "ranker"

    def __init__(self, column: int = 0, error: Exception | None = None) -> None:
        self.column, self.error = column, error

    def score(self, batch, candidates, deadline=None):
        if self.error is not None:
            raise self.error
        return candidates.features[:, self.column], {"click": np.full(len(candidates), 0.5, np.float32)}


def recommender(repeats="until-converted", scorer=None, executor=None, **changes) -> Recommender:
    return world.recommender(world.artifacts(repeats, **changes), scorer, executor=executor)


def store_of(made: Recommender) -> world.Store:
    return world.Store(made.artifacts.feature_set)


def test_slate_is_full_distinct_and_explained():
    (slate,) = recommender().recommend([world.query("u1")])
    assert len(slate.rows) == 20
    assert len(set(slate.rows.tolist())) == 20
    assert all(slate.reasons)
    assert set(slate.sources) <= {"two_tower", "covisitation", "own", "popular"}
    assert (np.diff(slate.scores) <= 0).all()
    assert slate.bundle_version == "v1"
    assert slate.degraded == ()


def test_one_query_is_a_batch_of_one():
    made = recommender(scorer=SumScorer())
    queries = [world.query(f"u{n}", surface=surface) for n in range(40) for surface in ("home", "email")]
    together = made.recommend(queries)
    for query, slate in zip(queries, together, strict=True):
        (alone,) = made.recommend([query])
        assert alone.rows.tolist() == slate.rows.tolist()
        assert alone.reasons == slate.reasons


def test_ranker_orders_and_similar_does_not_use_it():
    made = recommender(scorer=SumScorer(column=1))
    slate, similar = made.recommend([world.query("u1"), world.query("u1", surface="similar", item_id=world.item_id(8))])
    prices = made.artifacts.items.numeric[slate.rows, 1]
    assert (np.diff(prices) <= 0).all()
    plain = recommender().recommend([world.query("u1", surface="similar", item_id=world.item_id(8))])[0]
    assert similar.rows.tolist() == plain.rows.tolist()
    assert 8 not in similar.rows
    assert set(similar.rows[:5] % 4) == {0}


def test_similar_falls_back_to_the_category():
    nothing = np.zeros(world.NUM_ITEMS + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
    made = world.recommender(world.artifacts(with_towers=False).with_parts(Neighbours(*nothing)))
    (slate,) = made.recommend([world.query("nobody", surface="similar", item_id=world.item_id(9))])
    assert len(slate.rows) == 20
    assert set(slate.rows % 4) == {1}
    assert slate.reasons[0] == "Popular in Mugs"


@pytest.mark.parametrize("repeats", ["never", "until-converted", "always"])
def test_repeats_hold_over_the_whole_list(repeats):
    made = recommender(repeats)
    queries = [world.query(f"u{n}", count=world.NUM_ITEMS) for n in range(30)]
    own = store_of(made).users([q.user_id for q in queries], np.zeros(30)).own
    seen = 0
    for place, slate in enumerate(made.recommend(queries)):
        mine = slice(own.offsets[place], own.offsets[place + 1])
        shown = np.isin(own.rows[mine], slate.rows)
        barred = {"never": own.grades[mine] >= 1, "until-converted": own.grades[mine] >= 2}.get(repeats)
        assert barred is None or not shown[barred].any()
        seen += int(shown.sum())
    assert (seen == 0) == (repeats == "never")


def test_unavailable_items_never_show():
    made = recommender()
    for slate in made.recommend([world.query(f"u{n}", count=world.NUM_ITEMS) for n in range(10)]):
        items = made.artifacts.items
        assert items.available[slate.rows].all()
        assert not (items.created_at[slate.rows] > world.NOW).any()
        german = int(slate.query.user_id[1:]) % 2 == 0
        assert german or (items.regions[slate.rows] == "").all()
    young = made.recommend([world.query("u2", count=world.NUM_ITEMS)])[0]  # age group "<18"
    assert (made.artifacts.items.min_age[young.rows] == 0).all()


def test_unknown_users_get_what_is_popular_in_their_country():
    made = recommender(scorer=SumScorer())
    slate, none = made.recommend([world.query("nobody", country="GB"), world.query("nobody")])
    top, _ = made.artifacts.part(Popularity).top("GB", 100)
    allowed = [row for row in top.tolist() if row in set(slate.rows.tolist())]
    assert slate.rows.tolist() == allowed[:20]
    assert set(slate.reasons) == {"Popular in GB"}
    assert set(none.reasons) == {"Popular right now"}


@pytest.mark.parametrize("count", [1, 100, 240])
def test_feed_is_topped_up_from_the_whole_catalogue(count):
    made = recommender("never")
    query = world.query("u3", count=count)
    slate = made.recommend([query])[0]
    assert len(slate.rows) == count
    everything = made.recommend([world.query("u3", count=10_000)])[0]
    assert 240 < len(everything.rows) < world.NUM_ITEMS
    assert len(set(everything.rows.tolist())) == len(everything.rows)


def test_pages_do_not_repeat_and_the_feed_ends():
    made = recommender()
    seen: list[str] = []
    while True:
        slate = made.recommend([world.query("u5", count=60, exclude=frozenset(seen))])[0]
        if not len(slate.rows):
            break
        seen += [world.item_id(row) for row in slate.rows]
    assert len(seen) == len(set(seen)) > 240


def test_a_strict_executor_raises_and_an_open_one_marks():
    broken = FeatureStoreError("The store is away.")
    made = world.artifacts()
    with pytest.raises(FeatureStoreError):
        world.recommender(made, users=world.Store(made.feature_set, broken)).recommend([world.query()])
    opened = Executor(strict=False, threads=4)
    away = world.recommender(made, users=world.Store(made.feature_set, broken), executor=opened)
    (slate,) = away.recommend([world.query()])
    assert slate.degraded == ("features",)
    assert set(slate.sources) == {"popular"}
    assert len(slate.rows) == 20


def test_failing_ranker_leaves_the_retrieval_order():
    opened = Executor(strict=False, threads=2)
    plain = recommender().recommend([world.query("u7")])[0]
    for scorer in (SumScorer(error=PredictorError("down")), SumScorer(column=-2)):
        slate = recommender(scorer=scorer, executor=opened).recommend([world.query("u7")])[0]
        if scorer.error is not None:
            assert slate.degraded == ("ranker",)
            assert slate.rows.tolist() == plain.rows.tolist()


class SlowSource(CovisitationSource):
    def __call__(self, batch, k):
        time.sleep(0.3)
        return super().__call__(batch, k)


def test_a_slow_source_is_left_behind():
    made = world.artifacts()
    stages = Stages.of(made, world.Store(made.feature_set))
    slow = tuple(SlowSource(made) if source.name == "covisitation" else source for source in stages.sources)
    opened = Executor(strict=False, threads=4)
    late = Recommender(made, replace(stages, sources=slow), executor=opened, timeouts=Timeouts(sources=0.05))
    start = time.perf_counter()
    (slate,) = late.recommend([world.query("u1")])
    assert time.perf_counter() - start < 0.25
    assert slate.degraded == ("covisitation",)
    assert len(slate.rows) == 20


def test_candidates_carry_features_and_agree_with_ranked():
    made = recommender()
    queries = [world.query(f"u{n}") for n in range(20)]
    found = made.candidates(queries)
    assert found.features is not None
    assert found.features.shape == (len(found), len(made.artifacts.feature_set.ranker_features))
    assert np.array_equal(found.features[:, -4:], found.source_ranks, equal_nan=True)
    assert found.num_queries == 20
    ranked = made.ranked(queries, depth=50)
    assert (np.diff(ranked.offsets) == 50).all()
    assert ranked.rows[:50].tolist() == found.rows[:50].tolist()


def test_reasons_are_true():
    made = recommender("always")
    store = store_of(made)
    for slate in made.recommend([world.query(f"u{n}", count=60) for n in range(20)]):
        users = store.users([slate.query.user_id], np.array([world.NOW]))
        own = dict(zip(users.own.rows.tolist(), users.own.grades.tolist(), strict=True))
        titles = {made.artifacts.contents.title(row) for row in own}
        for row, source, reason in zip(slate.rows.tolist(), slate.sources, slate.reasons, strict=True):
            if source == "own":
                assert reason == ("You bought this before" if own[row] == 2 else "You viewed this before")
            if reason.startswith("Because you"):
                assert source == "covisitation"
                assert reason.split(" ", 3)[3] in titles
            if reason.startswith("Picked for you: "):
                assert reason.removeprefix("Picked for you: ") == world.CATEGORIES[row % 4] != "7"


def test_thousands_of_queries_take_seconds():
    made = recommender()
    start = time.perf_counter()
    ranked = made.ranked([world.query(f"u{n % 80}") for n in range(2_000)], depth=20)
    assert ranked.num_queries == 2_000
    assert time.perf_counter() - start < 10


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["u1", "u2", "nobody"]), st.sampled_from(["home", "similar"]), st.integers(1, 320)),
        min_size=1,
        max_size=6,
    )
)
def test_any_batch_gives_distinct_allowed_items(asked):
    made = recommender("never")
    queries = [
        world.query(user, surface=surface, count=count, item_id=world.item_id(7) if surface == "similar" else None)
        for user, surface, count in asked
    ]
    for query, slate in zip(queries, made.recommend(queries), strict=True):
        assert 0 < len(slate.rows) <= query.count
        assert len(set(slate.rows.tolist())) == len(slate.rows)
        assert made.artifacts.items.available[slate.rows].all()
        assert np.isfinite(slate.scores).all()
