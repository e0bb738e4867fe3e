"""What is renewed of a cutoff as of a cut, and what stays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from components.index.build import build_cutoff
from components.index.covisitation import CovisitationConfig, fit_neighbours
from components.index.popular import fit_popularity
from components.index.settings import TableSettings
from components.replay.cutoff import Cutoff
from components.replay.events import Events
from components.replay.renewal import MOST_REFITS, Renewal, RenewalPolicy, as_declared
from components.replay.replay import Replay
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.state import TimeArray
from inference.feature_store.historical import HistoricalFeatures
from inference.models.artifacts import Artifacts
from inference.models.neighbours import Followers, Neighbours, Predictors
from inference.models.popularity import Popularity
from tests.kit import shop, world


@dataclass
class Past:
    """Cutoff `rank` of a small shop, and the cuts after it."""

    tables: PreparedTables
    cutoff: Cutoff
    reader: HistoricalFeatures
    events: Events
    cuts: TimeArray

    def at(self, cut: float, **policy: bool) -> Artifacts:
        replay = Replay.of(self.tables, self.cutoff, self.reader, self.cuts, RenewalPolicy(**policy))
        return replay.recommender(cut).artifacts

    def neighbours(self, cut: float) -> Neighbours:
        return fit_neighbours(self.events, 164, cut, CovisitationConfig())


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    folder = tmp_path_factory.mktemp("past")
    tables_dir, features_dir = shop.write(folder, num_events=600)
    build_cutoff(tables_dir, features_dir, None, folder / "rank", name="rank")
    tables = PreparedTables.open(tables_dir)
    split = tables.split
    with HistoricalFeatures(features_dir) as reader:
        events = Events.read(tables, reader.items(split.rank_start).item_ids)
        cuts = split.cuts_within(split.rank_start, split.test_start)
        yield Past(tables, Cutoff(folder / "rank", features_dir), reader, events, cuts)


def test_catalogue_and_popularity_are_those_of_the_cut(past: Past) -> None:
    cut = float(past.cuts[5])
    made = past.at(cut)
    expected = fit_popularity(past.events, 164, cut, float(past.cutoff.description["half_life_days"]))
    np.testing.assert_array_equal(made.part(Popularity).score, expected.score)
    np.testing.assert_array_equal(made.items.numeric, past.reader.items(cut).numeric)
    assert not np.array_equal(made.part(Popularity).score, Popularity.load(past.cutoff.directory).score)


def test_neighbours_are_refitted_now_and_then_or_stay(past: Past) -> None:
    assert len(past.cuts) > MOST_REFITS
    step = -(-len(past.cuts) // MOST_REFITS)
    for place in (0, step - 1, step, len(past.cuts) - 1):
        found = past.at(float(past.cuts[place]), neighbours=True).part(Neighbours)
        expected = past.neighbours(float(past.cuts[place // step * step]))
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_array_equal(found.weights, expected.weights)
        kept = past.at(float(past.cuts[place])).part(Neighbours)
        np.testing.assert_array_equal(kept.rows, Neighbours.load(past.cutoff.directory).rows)
    assert not np.array_equal(found.weights, Neighbours.load(past.cutoff.directory).weights)


@pytest.mark.parametrize("kind", [Followers, Predictors])
def test_every_table_of_a_source_that_is_asked_is_refitted(past: Past, kind: type[Neighbours]) -> None:
    """With the settings that the cutoff chose, as of the last refit before the cut."""
    step = -(-len(past.cuts) // MOST_REFITS)
    quotas = dict.fromkeys(past.cutoff.config().quotas, 10)
    settings = TableSettings.model_validate(past.cutoff.description["tables"])
    for place in (0, step):
        cut = float(past.cuts[place])
        renewal = Renewal(past.tables, past.cutoff, past.reader, past.cuts, RenewalPolicy(neighbours=True))
        made = past.cutoff.artifacts(past.reader.items(cut))
        asked = replace(made, config=made.config.model_copy(update={"quotas": quotas}))
        (expected,) = settings.fit([kind], past.events, 164, cut)
        assert isinstance(expected, kind)
        found = renewal(asked, cut).part(kind)
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_array_equal(found.weights, expected.weights)
    # A source that is off costs no refit.
    off = replace(made, config=made.config.model_copy(update={"quotas": dict.fromkeys(quotas, 0)}))
    renewal = Renewal(past.tables, past.cutoff, past.reader, past.cuts, RenewalPolicy(neighbours=True))
    assert renewal(off, cut).part(kind) is off.part(kind)


def test_declared_columns_are_those_of_the_following_cut(past: Past) -> None:
    split = past.tables.split
    for cut, following in ((past.cuts[0], past.cuts[1]), (past.cuts[-1], split.stamp(split.log_end))):
        made = past.at(float(cut), declared=True)
        counted, declared = past.reader.items(float(cut)), past.reader.items(float(following))
        expected = as_declared(counted, declared, made.feature_set)
        np.testing.assert_array_equal(made.items.numeric, expected.numeric)
        assert made.items.created_at is declared.created_at


def test_prices_are_those_of_the_later_time_and_counts_those_of_the_earlier() -> None:
    earlier = world.items()
    numeric = earlier.numeric + 1
    available = ~earlier.available
    later = world.items(numeric=numeric, price=earlier.price * 2, available=available)
    merged = as_declared(earlier, later, world.feature_set())
    assert np.array_equal(merged.numeric[:, 0], earlier.numeric[:, 0])  # num_click_7d
    assert np.array_equal(merged.numeric[:, 1], numeric[:, 1])  # log_price
    assert np.array_equal(merged.price, earlier.price * 2)
    assert np.array_equal(merged.available, available)
