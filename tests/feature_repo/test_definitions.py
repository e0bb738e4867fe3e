"""Feast objects follow from the feature set, and from nothing else."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from feast import FileSource

from components.features.build import build_features
from feature_repo.definitions import feature_objects, project_name
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.feature_set import FeatureSet
from tests.kit import random_log


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> FeaturesDirectory:
    folder = tmp_path_factory.mktemp("features")
    random_log.write(folder / "tables", random_log.rows(seed=2, num_events=60))
    build_features(folder / "tables", folder / "features")
    return FeaturesDirectory(folder / "features")


def test_views_have_the_columns_of_the_snapshots(features: FeaturesDirectory) -> None:
    for view in feature_objects(features.feature_set(), features.snapshots).views:
        columns = pq.read_schema(features.snapshots / f"{view.name}.parquet").names
        key = view.join_keys[0]
        assert [key, "event_timestamp", *(field.name for field in view.features)] == columns


def test_sources_are_absolute(features: FeaturesDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(features.path)
    for view in feature_objects(features.feature_set(), Path("snapshots")).views:
        assert isinstance(view.batch_source, FileSource)
        assert view.batch_source.path == str(features.path / "snapshots" / f"{view.name}.parquet")


def test_projects_carry_dataset_stage_and_hash() -> None:
    one, other = FeatureSet(objectives=("click",)), FeatureSet(objectives=("convert",))
    names = {
        project_name(dataset, stage, feature_set.hash)
        for dataset in ("my-shop", "shop")
        for stage in ("test", "final")
        for feature_set in (one, other)
    }
    assert len(names) == 8
    assert project_name("my-shop", "final", one.hash) == f"my_shop_final_{one.hash[:8]}"
