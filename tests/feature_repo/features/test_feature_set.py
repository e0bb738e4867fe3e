"""The feature set: what is in it, what its hash depends on, what it refuses to load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from feature_repo.dataset.tables import PreparedTables
from feature_repo.errors import BundleError, DatasetError
from feature_repo.features.choice import choose_features
from feature_repo.features.feature_set import FeatureSet
from tests.kit import random_log
from tests.kit.prepared_tables import config, event, write_prepared

SOURCES = ("near", "popular")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> PreparedTables:
    return PreparedTables.open(random_log.write(tmp_path_factory.mktemp("tables"), random_log.rows(seed=1)))


@pytest.fixture(scope="module")
def feature_set(tables: PreparedTables) -> FeatureSet:
    return choose_features(tables, SOURCES)


def test_ranker_features_are_distinct_and_in_order(feature_set: FeatureSet) -> None:
    names = feature_set.ranker_features
    assert len(set(names)) == len(names)
    assert names[: len(feature_set.item_numeric)] == tuple(f"item_{name}" for name in feature_set.item_numeric)
    assert names[-4:] == (*(f"score_{source}" for source in SOURCES), *(f"rank_{source}" for source in SOURCES))
    codes = {names[place] for place in feature_set.categorical_indices}
    assert {"item_category", "user_country", "request_device", "item_colour"} <= codes
    assert "item_price_to_category" not in codes


def test_vocabularies_are_by_value_and_codes_count_from_one(feature_set: FeatureSet) -> None:
    assert feature_set.vocabularies["request.device"] == ("phone",)
    assert feature_set.vocabularies["items.seller_id"] == ("s0", "s1", "s2", "s3")
    assert feature_set.code_of["items.seller_id"]["s0"] == 1
    assert feature_set.vocabulary_size("request.device") == 2
    assert "users.gender" not in feature_set.vocabularies
    assert "gender" not in feature_set.user_categorical


def test_what_the_dataset_does_not_have_is_left_out(tmp_path: Path) -> None:
    events = [event(number, price=None, country=None) for number in range(30)]
    bare = choose_features(PreparedTables.open(write_prepared(tmp_path, config(), interactions=events)), SOURCES)
    text = " ".join(bare.ranker_features)
    for absent in ("impressions", "rate", "price", "category", "return", "own_", "country", "signup", "rating"):
        assert absent not in text.replace("repeat_rate", "")
    assert "item_num_convert_7d" in bare.ranker_features


def test_own_columns_are_for_those_who_may_see_items_again(tmp_path: Path) -> None:
    events = [event(number) for number in range(30)]
    for repeats, expected in (("never", False), ("until-converted", True), ("always", True)):
        settings = config(recommend={"repeats": repeats})
        tables = PreparedTables.open(write_prepared(tmp_path, settings, interactions=events))
        assert ("own_count" in choose_features(tables, SOURCES).cross_numeric) is expected


@pytest.mark.parametrize("kind", ["numerical", "categorical"])
@pytest.mark.parametrize(
    ("table", "name"),
    [("items", "trend"), ("items", "return_rate_30d"), ("users", "ctr_30d"), ("users", "own_ids")],
)
def test_an_extra_column_of_a_computed_name_is_refused(tmp_path: Path, table: str, name: str, kind: str) -> None:
    """Also where this log has no data for the computed one: the next log may."""
    settings = config(features={table: {kind: [name]}})
    rows = {"interactions": [event(n) for n in range(30)]}
    with pytest.raises(DatasetError, match=rf"features\.{table}.*'{name}'.*columns\.{table}"):
        choose_features(PreparedTables.open(write_prepared(tmp_path, settings, **rows)), SOURCES)


def test_the_hash_is_of_content(feature_set: FeatureSet, tmp_path: Path) -> None:
    feature_set.save(tmp_path / "feature_set.json")
    loaded = FeatureSet.load(tmp_path / "feature_set.json")
    assert (loaded, loaded.hash) == (feature_set, feature_set.hash)
    changes: list[dict[str, Any]] = [
        {"transforms_version": feature_set.transforms_version + 1},
        {"item_numeric": feature_set.item_numeric[::-1]},
        {"repeats": "never"},
        {"vocabularies": {**feature_set.vocabularies, "request.device": ("phone", "tv")}},
    ]
    hashes = {feature_set.model_copy(update=change).hash for change in changes}
    assert len(hashes | {feature_set.hash}) == 1 + len(changes)


def test_a_set_of_other_transforms_is_refused(feature_set: FeatureSet, tmp_path: Path) -> None:
    path = tmp_path / "feature_set.json"
    feature_set.save(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "transforms_version": 0}))
    with pytest.raises(BundleError, match="version 0"):
        FeatureSet.load(path)
    path.write_text(json.dumps({**content, "surprise": 1}))
    with pytest.raises(BundleError, match="surprise"):
        FeatureSet.load(path)
    with pytest.raises(BundleError, match=r"missing\.json"):
        FeatureSet.load(tmp_path / "missing.json")
