"""The pipeline step builds the features and records which ones."""

from pathlib import Path

from kfp.dsl import Dataset

from components.features.component import build_feature_snapshots
from feature_repo.features_directory import FeaturesDirectory
from tests.feature_repo import logs


def test_the_step_writes_features_and_their_hash(tmp_path: Path) -> None:
    logs.write(tmp_path / "tables", logs.rows(seed=6, num_events=400))
    tables = Dataset(name="tables", uri=str(tmp_path / "tables"), metadata={})
    features = Dataset(name="features", uri=str(tmp_path / "features"), metadata={})
    build_feature_snapshots.python_func(tables, "v1", features)
    feature_set = FeaturesDirectory(Path(features.path)).feature_set()
    assert features.metadata["feature_hash"] == feature_set.hash
    assert features.metadata["num_features"] == len(feature_set.ranker_features)
