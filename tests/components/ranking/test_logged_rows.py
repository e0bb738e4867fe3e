"""Rows from logged features are, row for row, those that the join gives for the same impressions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.features.build import build_features
from components.index.covisitation import CovisitationConfig, fit_neighbours
from components.index.popular import fit_popularity
from components.ingest import ingest
from components.marketplace.config import config_for
from components.marketplace.dataset.directory import make_dataset
from components.ranking.build import RowSampling, build_rows
from components.ranking.logged_rows import logged_rows
from components.ranking.rows import RankingRows
from components.replay.events import Events
from components.replay.groups import Groups, read_groups
from components.validation.rows.checks import check_rows
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.directory import FeaturesDirectory
from inference.api.events import checked
from inference.candidates.query import Query, Slate
from inference.feature_store import OnlineFeatures, StoreSettings, materialize
from inference.feature_store.historical import HistoricalFeatures
from inference.log.reader import read_impressions
from inference.models.artifacts import Artifacts
from inference.models.contents import Contents
from inference.recommender import Recommender
from inference.scorers.protocol import Scorer
from inference.sources import configured
from inference.stages import Stages
from tests.inference.log import logs

NUM_REQUESTS = 60
COUNT = 12


class PriceScorer(Scorer):
    """Orders by price and whatever the sources say, so that all of a list's features matter."""

    name = "ranker"

    def score(self, _batch, candidates, _deadline=None):
        return np.nan_to_num(candidates.features).sum(axis=1), {}


@dataclass
class Day:
    """A served day after a log's end.

    Attributes:
        artifacts: What was served from, with the catalogue as the store of features has it offline.
        reader: Users as of the past.
        slates: What was shown.
        groups: The day's requests and outcomes, read back from dataset and log.
        impressions: Of the log.
    """

    artifacts: Artifacts
    reader: HistoricalFeatures
    slates: list[Slate]
    groups: Groups
    impressions: pa.Table


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """The tiny world: its features are served online after its end, and what was clicked is posted."""
    folder = tmp_path_factory.mktemp("logged")
    make_dataset(config_for("tiny"), folder / "dataset")
    ingest(folder / "dataset", folder / "raw")
    check_rows(folder / "raw", folder / "clean", folder / "aside", folder / "page.html")
    tables = PreparedTables.open(folder / "clean")
    features = FeaturesDirectory(folder / "features")
    feature_set = build_features(tables.directory, features.path)
    end = tables.split.stamp(tables.split.log_end)
    online_place = StoreSettings(folder / "online", "tiny")
    materialize(features.path, feature_set, online_place, end)
    online = OnlineFeatures(feature_set, features.item_ids(), online_place)
    with HistoricalFeatures(features.path) as reader:
        events = Events.read(tables, features.item_ids())
        offline = Artifacts(
            version="v1",
            feature_set=feature_set,
            items=reader.items(end),
            contents=Contents.from_table(pa.table({"item_id": features.item_ids().tolist()}), features.item_ids()),
            parts={},
            config=configured(),
        ).with_parts(
            fit_neighbours(events, len(features.item_ids()), end, CovisitationConfig()),
            fit_popularity(events, len(features.item_ids()), end, 7.0),
        )
        served = Artifacts(**{**vars(offline), "items": online.items(end)})
        slates = Recommender(served, Stages.of(served, online, PriceScorer())).recommend(asked(tables, end))
        write(folder / "log", slates, served)
        ingest(folder / "dataset", folder / "after", log=folder / "log")
        groups = read_groups(PreparedTables.open(folder / "after"), end, end + 86_400, limit=10_000, seed=0)
        impressions = read_impressions(str(folder / "log"), end, end + 86_400)
        yield Day(offline, reader, slates, groups, impressions)


def asked(tables: PreparedTables, end: float) -> list[Query]:
    """Requests of known users over some hours; the last two are not ranked."""
    users = tables.interactions["user_id"].unique().to_pylist()[:NUM_REQUESTS]
    queries = [
        Query(user, end + 60.0 * number + 0.25, "home", COUNT, f"r{number}", device="phone" if number % 2 else None)
        for number, user in enumerate(users, 1)
    ]
    stranger = Query("a stranger", end + 30.0, "home", COUNT, "r-stranger")
    similar = Query(users[0], end + 31.0, "similar", COUNT, "r-similar", item_id=str(tables.items["item_id"][0]))
    return [*queries, stranger, similar]


def write(log: Path, slates: list[Slate], artifacts: Artifacts) -> None:
    """Logs the slates, and of every other one an event on the third item and a stronger one on the fifth."""
    writer = logs.writer(log, log / ".spool", logs.Counted())
    writer.start()
    writer.record(slates, artifacts)
    for number, slate in enumerate(slates):
        for place, kind in ((2, "click"), (4, "purchase")) if number % 2 else ():
            event = {
                "event_id": f"e{number}-{place}",
                "user_id": slate.query.user_id,
                "item_id": str(artifacts.items.item_ids[slate.rows[place]]),
                "event_type": kind,
                "request_id": slate.query.request_id,
            }
            writer.accept(checked(event, slate.query.time + 20, "wall")).result(timeout=10)
    writer.stop()


def joined(day: Day) -> RankingRows:
    """The same impressions through the recommender as of each query's time."""
    cuts = np.array([min(query.time for query in day.groups.queries)])
    sampling = RowSampling(negatives=0)
    return build_rows(day.groups, lambda _: day.artifacts, cuts, day.reader, sampling, what="rows")


def by_position(rows: RankingRows) -> np.ndarray:
    return np.lexsort((rows.positions, rows.group_index))


def test_the_rows_are_those_of_the_join(day: Day) -> None:
    logged = logged_rows(day.groups, day.impressions, day.artifacts.feature_set)
    unranked = {"r-stranger", "r-similar"}
    whole = joined(day)
    ranked = np.array([query.request_id not in unranked for query in day.groups.queries])
    other = whole.keep(ranked[whole.group_index])
    assert len(day.groups) == NUM_REQUESTS + 2
    assert len(logged) == len(other) == NUM_REQUESTS * COUNT
    np.testing.assert_array_equal(logged.group_sizes, other.group_sizes)
    mine, theirs = by_position(logged), by_position(other)
    for name in ("grades", "labels", "brought", "shown", "positions"):
        np.testing.assert_array_equal(getattr(logged, name)[mine], getattr(other, name)[theirs], err_msg=name)
    for place, name in enumerate(day.artifacts.feature_set.ranker_features):
        np.testing.assert_array_equal(logged.features[mine, place], other.features[theirs, place], err_msg=name)
    varied = [len(np.unique(column[~np.isnan(column)])) > 1 for column in logged.features.T]
    assert np.mean(varied) > 0.5  # equal because compared, not because empty
    assert logged.shown.all()


def test_labels_are_what_was_posted(day: Day) -> None:
    rows = logged_rows(day.groups, day.impressions, day.artifacts.feature_set)
    liked = np.flatnonzero(rows.grades > 0)
    assert set(rows.positions[liked].tolist()) == {2, 4}
    assert len(liked) == NUM_REQUESTS
    weak, strong = rows.grades[rows.positions == 2].max(), rows.grades[rows.positions == 4].max()
    assert 0 < weak < strong == len(day.artifacts.feature_set.objectives)
    assert rows.labels[rows.positions == 4].sum() >= NUM_REQUESTS / 2


def test_other_feature_sets_are_left_out(day: Day) -> None:
    other = day.artifacts.feature_set.model_copy(update={"repeats": "never", "transforms_version": 99})
    assert len(logged_rows(day.groups, day.impressions, other)) == 0
    wider = day.artifacts.feature_set.model_copy(update={"cross_numeric": ("price_z_to_user", "none_has_it")})
    assert len(logged_rows(day.groups, day.impressions, wider)) == 0


def test_a_request_id_used_twice_counts_the_first_time(day: Day) -> None:
    once = logged_rows(day.groups, day.impressions, day.artifacts.feature_set)
    later = pa.concat_tables([day.impressions, day.impressions])
    again = logged_rows(day.groups, later, day.artifacts.feature_set)
    np.testing.assert_array_equal(once.features, again.features)
    np.testing.assert_array_equal(once.positions, again.positions)
