"""The pipeline step builds the features and records which ones."""

from pathlib import Path

import pytest
from kfp.dsl import Dataset

from components.features.component import build_feature_snapshots
from feature_repo.features.directory import FeaturesDirectory
from tests.kit import random_log, shop


def test_the_step_writes_features_and_their_hash(tmp_path: Path) -> None:
    prepared, _ = shop.write(tmp_path, num_events=400)
    tables = Dataset(name="tables", uri=str(prepared), metadata={})
    features = Dataset(name="features", uri=str(tmp_path / "made"), metadata={})
    build_feature_snapshots.python_func(tables, "v1", features)
    feature_set = FeaturesDirectory(Path(features.path)).feature_set()
    assert features.metadata["feature_hash"] == feature_set.hash
    assert features.metadata["num_features"] == len(feature_set.ranker_features)


def test_a_log_that_no_ranker_can_learn_from_ends_before_the_long_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = random_log.rows(seed=6, num_events=40)
    random_log.write(tmp_path / "tables", rows)
    tables = Dataset(name="tables", uri=str(tmp_path / "tables"), metadata={})
    with pytest.raises(SystemExit):
        build_feature_snapshots.python_func(tables, "v1", Dataset(name="made", uri=str(tmp_path / "made"), metadata={}))
    assert "holds no positive event" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()
