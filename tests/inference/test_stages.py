"""Stages handed in from outside: what each kind may do, for which queries it runs, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from feature_repo.errors import BundleError, PredictorError
from inference.candidates.surfaces import SURFACES, surface_of
from inference.filters.protocol import Filter
from inference.flow.executor import Executor
from inference.hydrators.protocol import Hydrator
from inference.hydrators.users import UserHydrator
from inference.recommender import Recommender
from inference.recorders.protocol import Recorder
from inference.scorers.protocol import Scorer
from inference.selectors.protocol import Selector
from inference.sources.popular import PopularSource
from inference.stages import Stages
from tests.kit import world

QUERIES = [world.query("u1"), world.query("u2", surface="email"), world.query("u3")]


def email(batch):
    return np.array([query.surface == "email" for query in batch.queries])


@dataclass(frozen=True)
class NothingForEmail(Filter):
    name = "nothing"

    def applies(self, batch):
        return email(batch)

    def __call__(self, batch, candidates):
        return candidates.rows % 3 == 0


@dataclass(frozen=True)
class ByRow(Scorer):
    name = "by_row"
    error: Exception | None = None

    def applies(self, batch):
        return email(batch)

    def score(self, batch, candidates, deadline=None):
        if self.error is not None:
            raise self.error
        return candidates.rows.astype(np.float32), {"click": np.full(len(candidates), 0.25, np.float32)}


class Counter:
    """Counts what an executor observes."""

    def __init__(self):
        self.marks = []

    def stage(self, name, seconds):
        pass

    def degraded(self, reason):
        self.marks.append(reason)

    def filtered(self, name, num):
        pass


@dataclass(frozen=True)
class ReversedSelector(Selector):
    name = "reversed"

    def applies(self, batch):
        return email(batch)

    def __call__(self, batch, candidates):
        return candidates.with_scores(-candidates.score).best(10_000, with_features=True)


@dataclass
class Kept(Recorder):
    name = "kept"
    error: Exception | None = None
    slates: list = field(default_factory=list)

    def __call__(self, slates, artifacts):
        if self.error is not None:
            raise self.error
        self.slates += slates

    def applies(self, slate):
        return slate.query.surface == "email"


def stages(**changes) -> tuple[Recommender, Recommender]:
    """The default recommender, and one with other stages."""
    made = world.artifacts()
    default = Stages.of(made, world.Store(made.feature_set))
    return Recommender(made, default), Recommender(made, replace(default, **changes))


def test_a_filter_judges_only_the_queries_it_applies_to():
    plain, other = stages(filters=(NothingForEmail(),))
    plain = Recommender(plain.artifacts, replace(plain.stages, filters=()))
    before, after = plain.recommend(QUERIES), other.recommend(QUERIES)
    assert (after[1].rows % 3 == 0).all()
    assert not (before[1].rows % 3 == 0).all()
    for place in (0, 2):
        assert after[place].rows.tolist() == before[place].rows.tolist()


def test_scorers_run_in_a_row_each_where_it_applies():
    @dataclass(frozen=True)
    class First(Scorer):
        name = "first"

        def score(self, batch, candidates, deadline=None):
            return -candidates.rows.astype(np.float32), {"click": np.full(len(candidates), 0.5, np.float32)}

    _, made = stages(scorers=(First(), ByRow()))
    home, mail, _ = made.recommend(QUERIES)
    assert (np.diff(home.rows) > 0).all()
    assert (np.diff(mail.rows) < 0).all()
    assert set(home.probabilities["click"].tolist()) == {0.5}
    assert set(mail.probabilities["click"].tolist()) == {0.25}
    assert home.features is not None
    _, broken = stages(scorers=(First(), ByRow(PredictorError("The second is away."))))
    broken = Recommender(broken.artifacts, broken.stages, executor=Executor(strict=False))
    home, mail, _ = broken.recommend(QUERIES)
    assert mail.degraded == ("by_row",)
    assert (np.diff(mail.rows) > 0).all()  # the first scorer's order stays


def test_a_selector_orders_only_the_queries_it_applies_to():
    plain, made = stages()
    last = replace(made.stages, selectors=(*made.stages.selectors, ReversedSelector()))
    before, after = plain.recommend(QUERIES), Recommender(made.artifacts, last).recommend(QUERIES)
    assert after[1].rows.tolist() == before[1].rows[::-1].tolist()
    assert [after[place].rows.tolist() for place in (0, 2)] == [before[place].rows.tolist() for place in (0, 2)]


def test_recorders_get_finished_slates_and_their_failure_stays_theirs():
    kept = Kept()
    _, made = stages(recorders=(kept,))
    slates = made.recommend(QUERIES)
    assert not kept.slates  # a slate is recorded once its answer is complete
    made.record(slates)
    assert [slate.query for slate in kept.slates] == [QUERIES[1]]
    assert kept.slates[0].reasons == slates[1].reasons
    _, broken = stages(recorders=(Kept(OSError("full")),))
    counter = Counter()
    opened = Recommender(broken.artifacts, broken.stages, executor=Executor(strict=False, observer=counter))
    opened.record(slates)
    assert counter.marks == ["kept"]


def test_hydrators_run_in_order_and_a_failing_one_leaves_the_batch():
    made = world.artifacts()
    store = world.Store(made.feature_set)

    @dataclass(frozen=True)
    class Broken(Hydrator):
        name = "broken"
        mark = "context"

        def __call__(self, batch):
            assert batch.users.known.all()  # the users were read before
            raise OSError("away")

    built = replace(Stages.of(made, store), hydrators=(UserHydrator(store), Broken()))
    (slate,) = Recommender(made, built, executor=Executor(strict=False)).recommend([world.query("u1")])
    assert slate.degraded == ("context",)
    assert "two_tower" in slate.sources


def test_stages_that_would_not_run_are_refused():
    made = world.artifacts()
    store = world.Store(made.feature_set)
    features = made.feature_set.model_copy(update={"sources": (*made.feature_set.sources, "horoscope")})
    with pytest.raises(BundleError, match=r"source 'horoscope', which this code does not have"):
        Stages.of(replace(made, feature_set=features), store)
    quotas = {name: quota for name, quota in made.config.quotas.items() if name != "own"}
    with pytest.raises(BundleError, match=r"'own' has no quota in recommender\.json"):
        world.recommender(replace(made, config=made.config.model_copy(update={"quotas": quotas})))
    fewer = made.feature_set.model_copy(update={"sources": ("popular",)})
    with pytest.raises(BundleError, match="is not in the feature set"):
        Stages.of(made, store).check(replace(made, feature_set=fewer))
    twice = replace(Stages.of(made, store), filters=(NothingForEmail(), NothingForEmail()))
    with pytest.raises(BundleError, match="Two stages are the filter 'nothing'"):
        Recommender(made, twice)


@dataclass(frozen=True)
class BrokenSource(PopularSource):
    name = "own"
    broken: str = ""

    def applies(self, batch):
        if self.broken == "applies":
            raise OSError("away")
        return super().applies(batch)

    def weights(self, batch):
        if self.broken == "weights":
            raise OSError("away")
        return super().weights(batch)

    def reasons(self, batch, place, rows):
        if self.broken == "reasons":
            raise OSError("away")
        return super().reasons(batch, place, rows)


@pytest.mark.parametrize("broken", ["applies", "weights", "reasons"])
def test_a_source_that_fails_anywhere_is_marked_and_the_slate_continues(broken):
    made = world.artifacts()
    stages = Stages.of(made, world.Store(made.feature_set))
    stages = replace(stages, sources=(BrokenSource(made, broken), *stages.sources[3:]))
    (slate,) = Recommender(made, stages, executor=Executor(strict=False)).recommend([world.query("u1")])
    assert slate.degraded == ("own",)
    assert len(slate.rows) == 20
    assert all(slate.reasons)
    with pytest.raises(OSError, match="away"):
        Recommender(made, stages).recommend([world.query("u1")])


def test_a_scorer_without_probabilities_keeps_those_of_the_scorer_before():
    @dataclass(frozen=True)
    class First(Scorer):
        name = "first"

        def score(self, batch, candidates, deadline=None):
            return -candidates.rows.astype(np.float32), {"click": np.full(len(candidates), 0.5, np.float32)}

    @dataclass(frozen=True)
    class Second(Scorer):
        name = "second"

        def score(self, batch, candidates, deadline=None):
            return candidates.score, {}

    _, made = stages(scorers=(First(), Second()))
    assert set(made.recommend(QUERIES)[0].probabilities) == {"click"}


def test_surfaces_are_rows_and_unknown_ones_behave_like_the_feed():
    assert set(SURFACES) == {"home", "similar", "email"}
    assert surface_of("similar").seeded
    assert not surface_of("similar").ranked
    direct = surface_of("direct")
    assert (direct.seeded, direct.ranked, direct.asks("own")) == (False, True, True)
    assert not replace(direct, sources=frozenset({"popular"})).asks("own")


def test_seeded_surfaces_ask_only_sources_that_know_seeds():
    (slate,) = world.recommender(world.artifacts("always")).recommend(
        [world.query("u1", surface="similar", item_id=world.item_id(8), count=60)]
    )
    assert "own" not in slate.sources
