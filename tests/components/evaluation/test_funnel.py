"""The recommender evaluated as it is served: real features, neighbours, popularity and trees, without towers."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.evaluation.funnel import ask
from components.evaluation.gate.challenge import compare
from components.evaluation.gate.gate import ENOUGH_USERS
from components.evaluation.impressions.scoring import score_impressions
from components.evaluation.protocols.leave_one_out import leave_one_out
from components.evaluation.protocols.setting import Setting
from components.evaluation.run import evaluate_funnel, publish
from components.features.build import build_features
from components.index.build import build_cutoff
from components.ranking.train import train_ranker
from components.replay.cutoff import Cutoff
from feature_repo.dataset.tables import PreparedTables
from inference.bundles.bundle import Bundle, BundleContent, write_bundle
from inference.bundles.manifest import Facts
from inference.candidates.query import Query
from inference.feature_store.historical import HistoricalFeatures
from inference.models.cold_places import ColdPlaces
from inference.models.popularity import Popularity
from inference.recommender import Recommender
from inference.scorers.local import LocalScorer
from inference.scorers.ranker import BY_RANKER, open_ranker, read_description
from inference.stages import Stages
from tests.components.evaluation.logs import Taste
from tests.kit.prepared_tables import START, config, make_served, write_prepared

NUM_ITEMS = 60
SETTINGS = config(recommend={"repeats": "until-converted"}, split={"validation_days": 5, "test_days": 5})


@dataclass(frozen=True)
class Run:
    """What the steps before the evaluation leave."""

    tables_dir: Path
    features_dir: Path
    cutoff_dir: Path
    ranker_dir: Path

    @property
    def tables(self) -> PreparedTables:
        return PreparedTables.open(self.tables_dir)


def write_log(directory: Path, world: Taste) -> Path:
    """The world's events, each answering a slate of five in which the item taken stands somewhere."""
    rng = random.Random(0)
    interactions: list[dict[str, Any]] = []
    impressions: list[dict[str, Any]] = []
    for number, (user, row, day, grade) in enumerate(world.events):
        time = START + timedelta(days=day)
        common = {"user_id": f"u{user:03d}", "request_id": f"r{number}", "timestamp": time}
        kind = "purchase" if grade == 2 else "click"
        interactions.append({**common, "item_id": f"i{row:03d}", "event_type": kind})
        shown = [row, *rng.sample([other for other in range(NUM_ITEMS) if other != row], 4)]
        for item in shown:
            labels = {"label_click": int(item == row and grade == 1), "label_convert": int(item == row and grade == 2)}
            reached = grade if item == row else 0
            impressions.append({**common, "item_id": f"i{item:03d}", "grade": reached, **labels})
    items = [{"item_id": f"i{row:03d}", "category": f"c{row % 4}", "price": 5.0 + row % 7} for row in range(NUM_ITEMS)]
    return write_prepared(directory, SETTINGS, interactions=interactions, impressions=impressions, items=items)


def make_cutoff(tables_dir: Path, features_dir: Path, out: Path, name: str, until: float | None = None) -> Path:
    """A cutoff without towers."""
    build_cutoff(tables_dir, features_dir, None, out, name=name, until=until)
    return out


def make_run(root: Path, world: Taste) -> Run:
    tables_dir = write_log(root / "tables", world)
    build_features(tables_dir, root / "features")
    cutoffs = {name: make_cutoff(tables_dir, root / "features", root / name, name) for name in ("rank", "test")}
    train_ranker(tables_dir, root / "features", cutoffs["rank"], root / "ranker", max_rows=40_000)
    return Run(tables_dir, root / "features", cutoffs["test"], root / "ranker")


@pytest.fixture(scope="module")
def world() -> Taste:
    return Taste(num_users=260, num_items=NUM_ITEMS, events_per_user=16)


@pytest.fixture(scope="module")
def run(world: Taste, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("run"), world)


def funnel_lists(run: Run, users: Sequence[int] = tuple(range(40))) -> np.ndarray:
    setting, tables = Setting.open(run.tables), run.tables
    cutoff, start = Cutoff(run.cutoff_dir, run.features_dir), tables.split.test_start
    with HistoricalFeatures(run.features_dir) as reader:
        artifacts = cutoff.artifacts(reader.items(start))
        recommender = Recommender(artifacts, Stages.of(artifacts, reader))
        return ask(recommender, setting.log, np.array(users, dtype=np.int32), start)[1].rows


def test_lists_are_the_served_slates_with_the_places_of_items_without_an_event(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.ranker_dir, tmp_path / "ranker")
    ColdPlaces(after=5, every=2).save(tmp_path / "ranker")
    setting, start = Setting.open(run.tables), run.tables.split.test_start
    cutoff = Cutoff(run.cutoff_dir, run.features_dir, tmp_path / "ranker")
    with HistoricalFeatures(run.features_dir) as reader:
        artifacts = cutoff.artifacts(reader.items(start))
        popularity = artifacts.part(Popularity)
        unseen = np.arange(NUM_ITEMS) % 3 == 0
        rare = replace(popularity, score=np.where(unseen, np.float32(0), popularity.score))
        created = replace(artifacts.items, created_at=np.full(NUM_ITEMS, start - 1))
        artifacts = replace(artifacts.with_parts(rare), items=created)
        recommender = Recommender(artifacts, Stages.of(artifacts, reader, LocalScorer(open_ranker(run.ranker_dir))))
        users = np.arange(30, dtype=np.int32)
        rows = ask(recommender, setting.log, users, start)[1].rows
        queries = [Query(user_id, start, count=20) for user_id in setting.log.user_ids[users]]
        slates = recommender.recommend(queries)
    assert [slate.rows.tolist() for slate in slates] == rows[:, :20].tolist()
    new = unseen[rows[:, :20]]
    assert new.any(axis=1).all()
    assert new.mean() > unseen.mean()


def test_everything_is_measured_and_written(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = evaluate_funnel(run.tables_dir, run.features_dir, run.cutoff_dir, run.ranker_dir, tmp_path / "build")
    content = json.loads((tmp_path / "build" / "evaluation.json").read_text())
    assert content["users"] >= ENOUGH_USERS
    assert content["protocol"] == "rolling"
    assert content["deciding"].startswith("rolling decides")
    assert "decided by the rolling protocol" in content["gate"]["sentence"]
    other = content["others"]["temporal"]
    assert set(other["methods"]) == set(content["methods"])
    assert other["methods"]["funnel"]["ndcg@20"] != content["methods"]["funnel"]["ndcg@20"]
    by_trees = read_description(run.ranker_dir).order == BY_RANKER
    assert (content["methods"]["retrieval"] != content["methods"]["funnel"]) == by_trees
    for name in ("retrieval", "funnel"):
        assert content["methods"][name]["ndcg@20"] > content["methods"]["popular"]["ndcg@20"]
    assert 0.5 < content["impressions"]["auc"] < 1
    assert content["impressions"]["log_loss"] < 1
    assert content["impressions"]["num_slates"] > 100
    assert 0 < content["calibration"]["click"]["ece"] < 0.2
    assert content["positions"] == content["policy_value"] == {"absent": "the log has no positions"}
    assert content["gallery"]["losses"]
    assert done.curve[0][-1] == 1.0
    assert done.decision is not None
    assert content["gate"]["sentence"] == done.decision.sentence
    publish(tmp_path / "build", tmp_path / "run")
    assert done.decision.sentence in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == content
    reports = [(tmp_path / "run" / name).read_text() for name in ("report.html", "report.md")]
    for report in [*reports, (tmp_path / "build" / "evaluation" / "table.txt").read_text()]:
        assert "lso measured" in report
        assert f"{other['methods']['funnel']['ndcg@20']:.4f}" in report
    temporal = pq.read_table(tmp_path / "run" / "lists-temporal.parquet").to_pandas()
    assert temporal[temporal.method == "funnel"].user_id.nunique() == other["users"]
    lists = pq.read_table(tmp_path / "run" / "lists.parquet").to_pandas()
    assert set(lists[lists.method == "funnel"].user_id) == set(lists[lists.method == "popular"].user_id)


def test_the_recommender_sees_nothing_of_the_test_span(run: Run, world: Taste, tmp_path: Path) -> None:
    start = (run.tables.split.test_start - START.timestamp()) / 86_400
    end = max(day for _, _, day, _ in world.events)
    rng = np.random.default_rng(0)
    changed = Taste(num_users=260, num_items=NUM_ITEMS, events_per_user=16)
    changed.events = [
        (user, row, day, grade) if day < start or day == end else (user, int(rng.integers(NUM_ITEMS)), day, 1)
        for user, row, day, grade in world.events
    ]
    other = write_log(tmp_path / "tables", changed)
    build_features(other, tmp_path / "features")
    cutoff = make_cutoff(other, tmp_path / "features", tmp_path / "test", "test")
    np.testing.assert_array_equal(
        funnel_lists(run), funnel_lists(Run(other, tmp_path / "features", cutoff, run.ranker_dir))
    )


def test_items_of_another_log_are_refused(run: Run) -> None:
    log = Setting.open(run.tables).log
    other = replace(log, item_ids=log.item_ids[:-1])
    with HistoricalFeatures(run.features_dir) as reader:
        start = run.tables.split.test_start
        artifacts = Cutoff(run.cutoff_dir, run.features_dir).artifacts(reader.items(start))
        recommender = Recommender(artifacts, Stages.of(artifacts, reader))
        with pytest.raises(ValueError, match="not those of the log"):
            ask(recommender, other, np.array([0], dtype=np.int32), start)


def test_leave_one_out_runs_through_the_same_recommender(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables_dir = tmp_path / "tables"
    told = leave_one_out(run.tables_dir, tables_dir)
    build_features(tables_dir, tmp_path / "features")
    cutoff = make_cutoff(tables_dir, tmp_path / "features", tmp_path / "test", "test")
    done = evaluate_funnel(tables_dir, tmp_path / "features", cutoff, None, tmp_path / "build")
    assert done.content["protocol"] == "leave-one-out"
    assert done.content["users"] == told["users"]
    assert done.content["methods"]["funnel"]["hr@10"] == done.content["methods"]["retrieval"]["hr@10"] > 0
    assert done.decision is None
    assert "gate" not in done.content
    capsys.readouterr()
    publish(tmp_path / "build", None)
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("measured: funnel's NDCG@20 is ")
    assert "release" not in last


def test_impressions_are_scored_once_each(run: Run) -> None:
    tables = run.tables
    ranker = open_ranker(run.ranker_dir)
    with HistoricalFeatures(run.features_dir) as reader:
        judged = score_impressions(tables, Cutoff(run.cutoff_dir, run.features_dir), reader, ranker)
    assert judged is not None
    times = np.array([time.timestamp() for time in tables.impressions["timestamp"].to_pylist()])
    inside = times >= tables.split.test_start
    grades = np.array(tables.impressions["grade"].to_pylist())[inside]
    assert len(judged.users) == inside.sum()
    assert sorted(judged.grades.tolist()) == sorted(grades.tolist())
    assert len(np.unique(judged.slates)) == inside.sum() / 5


def bundle_of(run: Run, out: Path, as_of: float) -> Bundle:
    cutoff = Cutoff(run.cutoff_dir, run.features_dir)
    with HistoricalFeatures(run.features_dir) as reader:
        content = BundleContent(
            feature_set=cutoff.feature_set,
            items=reader.items(run.tables.split.test_start),
            contents=pq.read_table(run.features_dir / "items_static.parquet"),
            parts=cutoff.directory,
            config=cutoff.config(),
            ranker=run.ranker_dir,
        )
    facts = Facts(
        dataset="shop",
        fingerprint="f",
        code_version="c",
        log_end=as_of,
        weights_until=as_of,
        ranker_until=as_of,
        features_as_of=as_of,
    )
    return write_bundle(content, out, facts)


def test_the_served_bundle_is_compared_after_its_own_times_only(run: Run, tmp_path: Path) -> None:
    setting, cutoff = Setting.open(run.tables), Cutoff(run.cutoff_dir, run.features_dir)
    ranker, split = open_ranker(run.ranker_dir), run.tables.split
    same = compare(bundle_of(run, tmp_path / "a", split.test_start), setting, run.tables_dir, cutoff, ranker)
    assert same is not None
    assert same.scores.num_users >= ENOUGH_USERS
    # The same models answer the same questions.
    np.testing.assert_allclose(same.scores.values["funnel"], same.scores.values["served"])
    assert compare(bundle_of(run, tmp_path / "b", split.log_end), setting, run.tables_dir, cutoff, ranker) is None


def test_a_served_bundle_does_not_win_by_being_fresher_than_the_test_start(run: Run, tmp_path: Path) -> None:
    split = run.tables.split
    later = split.test_start + split.step
    fresh = replace(run, cutoff_dir=make_cutoff(run.tables_dir, run.features_dir, tmp_path / "later", "test", later))
    served = bundle_of(fresh, tmp_path / "a", later)
    cutoff, ranker = Cutoff(run.cutoff_dir, run.features_dir), open_ranker(run.ranker_dir)
    compared = compare(served, Setting.open(run.tables), run.tables_dir, cutoff, ranker)
    assert compared is not None
    np.testing.assert_allclose(compared.scores.values["funnel"], compared.scores.values["served"])


def test_what_came_of_slates_counts_for_neither_bundle(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log as if a release had shown its slates: only events of 230 users, who came without any, are left."""
    cutoff, ranker = Cutoff(run.cutoff_dir, run.features_dir), open_ranker(run.ranker_dir)
    bundle = bundle_of(run, tmp_path / "bundle", run.tables.split.test_start)
    setting = Setting.open(run.tables)
    plain = compare(bundle, setting, run.tables_dir, cutoff, ranker)
    assert plain is not None
    served = tmp_path / "tables"
    shutil.copytree(run.tables_dir, served)
    make_served(served, interactions=0, impressions=0)
    assert compare(bundle, setting, served, cutoff, ranker) is None
    assert "gate: 0 users acted independently of its slates after" in capsys.readouterr().err

    interactions = pq.read_table(served / "interactions.parquet")
    by_itself = pc.less(interactions["user_id"], "u230")
    alone = pc.if_else(by_itself, pa.scalar(None, pa.string()), interactions["request_id"])
    place = interactions.column_names.index("request_id")
    pq.write_table(interactions.set_column(place, "request_id", alone), served / "interactions.parquet")
    compared = compare(bundle, setting, served, cutoff, ranker)
    assert compared is not None
    assert ENOUGH_USERS <= compared.scores.num_users < plain.scores.num_users
    for name, values in compared.scores.values.items():
        np.testing.assert_array_equal(values, plain.scores.values[name][: len(values)])
