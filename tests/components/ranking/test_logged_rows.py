"""Served features equal the joined ones of the same impressions; where they do not, the heads learn from them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.features.build import build_features
from components.index.build import build_cutoff
from components.index.popular import fit_popularity
from components.index.settings import TableSettings
from components.ingest import ingest
from components.marketplace.config import config_for
from components.marketplace.dataset.directory import make_dataset
from components.ranking.build import RowSampling, build_rows
from components.ranking.logged_rows import KEYS, read_served, with_served
from components.ranking.rows import RankingRows
from components.ranking.train import train_ranker
from components.ranking.trees.boosting import RankerConfig
from components.replay.events import Events
from components.replay.groups import Groups, read_groups
from components.replay.replay import Replay
from components.validation.rows.checks import check_rows
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.feature_set import FeatureSet
from feature_repo.storage.files import write_parquet
from inference.api.events import checked
from inference.candidates.query import Query, Slate
from inference.feature_store import OnlineFeatures, StoreSettings, materialize
from inference.feature_store.historical import HistoricalFeatures
from inference.log.layout import HOUR, IMPRESSIONS, hour_folder
from inference.models.artifacts import Artifacts
from inference.models.contents import Contents
from inference.recommender import Recommender
from inference.scorers.protocol import Scorer
from inference.sources import configured, parts_of
from inference.stages import Stages
from tests.kit import served_log

NUM_REQUESTS = 60
COUNT = 12
UNRANKED = {"r-stranger", "r-similar"}
TREES = RankerConfig(num_trees=10, num_threads=1)


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
        groups: The day's requests and outcomes, read back from dataset and log.
        log: What was shown.
        folder: Holds the clean tables and the features of the days before.
    """

    artifacts: Artifacts
    reader: HistoricalFeatures
    groups: Groups
    log: Path
    folder: Path


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
        light = [kind.fit_from(events, len(features.item_ids()), end) for kind in parts_of(feature_set.sources)]
        offline = Artifacts(
            version="v1",
            feature_set=feature_set,
            items=reader.items(end),
            contents=Contents.from_table(pa.table({"item_id": features.item_ids().tolist()}), features.item_ids()),
            parts={},
            config=configured(),
        ).with_parts(
            *TableSettings().fit(parts_of(feature_set.sources), events, len(features.item_ids()), end),
            fit_popularity(events, len(features.item_ids()), end, 7.0),
            *[part for part in light if part is not None],
        )
        served = Artifacts(**{**vars(offline), "items": online.items(end)})
        slates = Recommender(served, Stages.of(served, online, PriceScorer())).recommend(asked(tables, end))
        write(folder / "log", slates, served)
        ingest(folder / "dataset", folder / "after", log=folder / "log")
        groups = read_groups(PreparedTables.open(folder / "after"), end, end + 86_400, limit=10_000, seed=0)
        yield Day(offline, reader, groups, folder / "log", folder)


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
    writer = served_log.writer(log, log / ".spool", served_log.Counted())
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
    """The rows of the day through the recommender as of each query's time."""
    replay = Replay(day.artifacts, day.reader, np.array([day.groups.queries[0].time]))
    return build_rows(day.groups, replay, RowSampling(negatives=0), what="rows")


def changed(log: Path, out: Path, name: str, add: float) -> Path:
    """A copy of a log in which a number was added to a column of all impressions."""
    shutil.copytree(log, out)
    for path in out.glob("impressions/*/*/part-*.parquet"):
        table = pq.read_table(path, partitioning=None)
        column = pc.cast(pc.add(table[name], add), table.schema.field(name).type)
        pq.write_table(table.set_column(table.column_names.index(name), name, column), path)
    return out


def test_served_features_are_those_of_the_join(day: Day) -> None:
    feature_set = day.artifacts.feature_set
    whole = joined(day)
    rows, num_served = with_served(whole, day.groups, read_served(str(day.log), day.groups, feature_set), feature_set)
    assert len(day.groups) == NUM_REQUESTS + 2
    assert num_served == NUM_REQUESTS * COUNT  # neither the stranger's nor the similar ones
    for place, name in enumerate(feature_set.ranker_features):
        np.testing.assert_array_equal(rows.features[:, place], whole.features[:, place], err_msg=name)
    varied = [len(np.unique(column[~np.isnan(column)])) > 1 for column in rows.features.T]
    assert np.mean(varied) > 0.5  # equal because compared, not because empty


def test_a_served_feature_replaces_the_joined_one(day: Day, tmp_path: Path) -> None:
    feature_set = day.artifacts.feature_set
    log = changed(day.log, tmp_path / "log", "feature_item_log_price", 1.0)
    log = changed(log, tmp_path / "both", "feature_rank_popular", 1.0)
    whole = joined(day)
    rows, num_served = with_served(whole, day.groups, read_served(str(log), day.groups, feature_set), feature_set)
    ranked = np.array([query.request_id not in UNRANKED for query in day.groups.queries])
    replaced = whole.shown & ranked[whole.group_index]
    assert num_served == replaced.sum() > 0
    names = feature_set.ranker_features
    price = names.index("item_log_price")
    np.testing.assert_array_equal(rows.features[replaced, price], whole.features[replaced, price] + np.float32(1))
    np.testing.assert_array_equal(rows.features[~replaced], whole.features[~replaced])
    others = [place for place in range(len(names)) if place != price]  # the ranks of sources among them
    np.testing.assert_array_equal(rows.features[:, others], whole.features[:, others])
    for name in ("grades", "labels", "brought", "shown", "positions", "outcomes", "group_sizes"):
        np.testing.assert_array_equal(getattr(rows, name), getattr(whole, name), err_msg=name)


def test_other_feature_sets_are_left_out(day: Day) -> None:
    other = day.artifacts.feature_set.model_copy(update={"repeats": "never", "transforms_version": 99})
    assert read_served(str(day.log), day.groups, other).num_rows == 0
    wider = day.artifacts.feature_set.model_copy(update={"cross_numeric": ("price_z_to_user", "none_has_it")})
    served = read_served(str(day.log), day.groups, wider)
    assert served.num_rows == 0
    assert "feature_none_has_it" in served.column_names


def test_a_request_id_used_twice_counts_the_first_time(day: Day, tmp_path: Path) -> None:
    feature_set = day.artifacts.feature_set
    later = changed(day.log, tmp_path / "later", "feature_item_log_price", 5.0)
    for path in later.glob("impressions/*/*/part-*.parquet"):
        table = pq.read_table(path, partitioning=None)
        moved = pc.add(table["timestamp"], pa.scalar(timedelta(seconds=0.5)))
        shutil.copy(day.log / path.relative_to(later), path)
        again = table.set_column(table.column_names.index("timestamp"), "timestamp", moved)
        pq.write_table(again, path.with_name("part-0-again.parquet"))  # read before the others
    order = [(name, "ascending") for name in KEYS]
    once, twice = (read_served(str(log), day.groups, feature_set).sort_by(order) for log in (day.log, later))
    assert once.num_rows == NUM_REQUESTS * COUNT
    for name in (*KEYS, "feature_item_log_price"):
        assert twice[name].equals(once[name])


def test_heads_learn_from_what_was_served_and_the_order_does_not(day: Day, tmp_path: Path) -> None:
    """Every slate of the dataset as if a release of these features had shown it, with prices of 77 and 78."""
    tables, features_dir = day.folder / "clean", day.folder / "features"
    build_cutoff(tables, features_dir, None, tmp_path / "rank", name="rank")
    feature_set = day.artifacts.feature_set

    def trained(name: str, log: str) -> tuple[Path, dict[str, float]]:
        given = (tables, features_dir, tmp_path / "rank", tmp_path / name)
        return tmp_path / name, train_ranker(*given, config=TREES, max_rows=30_000, log=log)

    without, numbers = trained("without", "")
    assert numbers["logged_rows"] == 0
    served, numbers = trained("served", str(as_served(tables, tmp_path / "log", feature_set, feature_set.hash)))
    assert numbers["logged_rows"] > 1_000
    other, nothing = trained("other", str(as_served(tables, tmp_path / "foreign", feature_set, "0" * 16)))
    assert nothing["logged_rows"] == 0
    ordered = [name for name in ("model.txt", "order.json") if (without / name).exists()]
    assert len(ordered) == 1  # the validation span chooses between the trees and another order
    for name in ("ranker.json", *ordered):
        assert (other / name).read_bytes() == (without / name).read_bytes() == (served / name).read_bytes()
    for name in ("head_click.txt", "calibration.json"):
        assert (other / name).read_bytes() == (without / name).read_bytes()
    ranges = {
        name: (path / "head_click.txt").read_text().split("feature_infos=")[1].split("\n")[0].split(" ")
        for name, path in (("without", without), ("served", served))
    }
    price = feature_set.ranker_features.index("item_log_price")
    assert ranges["served"][price] == "[77:78]" != ranges["without"][price]


def as_served(tables_dir: Path, log: Path, feature_set: FeatureSet, feature_hash: str) -> Path:
    """A log with the impressions of prepared tables, ranked from features that are 0 but for the price."""
    shown = PreparedTables.open(tables_dir).read("impressions", [*KEYS, "timestamp"])
    features = {f"feature_{name}": np.zeros(shown.num_rows, np.float32) for name in feature_set.ranker_features}
    features["feature_item_log_price"] = np.resize(np.array([77, 78], np.float32), shown.num_rows)
    for name, values in {"feature_hash": [feature_hash] * shown.num_rows, **features}.items():
        shown = shown.append_column(name, pa.array(values))
    hours = pc.cast(shown["timestamp"], pa.int64()).to_numpy() // (HOUR * 10**6)
    for hour in np.unique(hours).tolist():
        write_parquet(log / IMPRESSIONS / hour_folder(hour) / "part-0.parquet", shown.filter(pa.array(hours == hour)))
    return log
