"""Training of a ranker on a log too poor for one ends in a sentence; on a good one it is used by the recommender."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.features import build_features
from components.index.build import build_cutoff
from components.ranking.train import train_ranker
from components.ranking.trees.boosting import RankerConfig
from components.retrieval.config import TrainingConfig
from components.retrieval.towers import fit_towers
from components.validation.spans import require_positives
from feature_repo.dataset.tables import PreparedTables
from feature_repo.errors import DatasetError
from feature_repo.features.directory import FeaturesDirectory
from inference.models.fusion import Fusion
from inference.scorers.ranker import open_ranker, read_description
from tests.kit import shop
from tests.kit.prepared_tables import write_prepared

TREES = RankerConfig(num_trees=10, num_threads=1)


def rank_cutoff(directory: Path, tables: Path, features: Path) -> Path:
    """Cutoff `rank` with towers of one epoch."""
    until = PreparedTables.open(tables).split.rank_start
    config = TrainingConfig(dimension=16, hidden=16, batch=128, max_epochs=1)
    fit_towers(tables, features, directory / "towers", until=until, config=config)
    build_cutoff(tables, features, directory / "towers", directory / "rank", name="rank")
    return directory / "rank"


def log(directory: Path, keep) -> tuple[Path, Path]:
    """The shop with the events that `keep(event, split)` wants, its log as long as before."""
    rows = shop.rows(num_events=800)
    whole = directory / "whole"
    whole.mkdir()
    split = PreparedTables.open(write_prepared(whole, shop.settings(), **rows)).split
    events = rows["interactions"]
    rows["interactions"] = [one for one in events if one in (events[0], events[-1]) or keep(one, split)]
    tables, features = directory / "tables", directory / "features"
    tables.mkdir()
    write_prepared(tables, shop.settings(), **rows)
    build_features(tables, features)
    return tables, features


def test_a_ranker_is_trained_on_rows_before_the_test_span(tmp_path: Path) -> None:
    tables, features = shop.write(tmp_path, num_events=1_500)
    built = rank_cutoff(tmp_path, tables, features)
    numbers = train_ranker(tables, features, built, tmp_path / "ranker", config=TREES, max_rows=6_000)
    assert 0 < numbers["trees"] <= 10
    assert 0 < numbers["train_rows"] + numbers["validation_rows"] <= 6_000
    num_features = len(FeaturesDirectory(features).feature_set().ranker_features)
    _, probabilities = open_ranker(tmp_path / "ranker").score(np.zeros((1, num_features), dtype=np.float32))
    assert tuple(probabilities) == ("click", "convert")
    description, fusion = read_description(tmp_path / "ranker"), Fusion.load(tmp_path / "ranker")
    assert "validation queries by order: " in description.reason
    assert fusion is not None
    if description.kind == "order":
        assert description.order == fusion.order


def test_a_span_without_a_positive_is_named(tmp_path: Path) -> None:
    def keep(event, split) -> bool:
        return not split.rank_start <= event["timestamp"].timestamp() < split.validation_start

    tables, features = log(tmp_path, keep)
    with pytest.raises(DatasetError, match=r"the rank span of the log \(2.* to 2.*\) holds no positive event: provide"):
        require_positives(PreparedTables.open(tables))
    with pytest.raises(DatasetError, match="the rank span of the log holds no positive event: provide"):
        train_ranker(tables, features, rank_cutoff(tmp_path, tables, features), tmp_path / "ranker", config=TREES)
    assert not (tmp_path / "ranker").exists()


def test_positives_that_no_source_brings_are_no_reason_to_crash(tmp_path: Path) -> None:
    """From the ranker's span on, users take only what they had before, and nothing may come again."""
    had: set[tuple[str, str]] = set()

    def keep(event, split) -> bool:
        pair = event["user_id"], event["item_id"]
        if event["timestamp"].timestamp() < split.rank_start - shop.DAY:
            had.add(pair)
            return True
        return pair in had

    tables, features = log(tmp_path, keep)
    with pytest.raises(DatasetError, match=r"every item that a user liked in the rank span .* rules such items out"):
        require_positives(PreparedTables.open(tables))
    with pytest.raises(DatasetError, match=r"no source brings an item that was liked in the .* span"):
        train_ranker(tables, features, rank_cutoff(tmp_path, tables, features), tmp_path / "ranker", config=TREES)
