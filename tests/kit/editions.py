"""Bundles whose every part tells which of them it belongs to, so that a response of two releases would be seen.

An edition lacks other items than the others, so that its row numbers mean other items; its vectors, its trees and its
titles are its own, and every second one counts countries in another order. Whatever part another edition lends it
changes the list, the scores or the titles.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import FloatArray
from feature_repo.storage.files import write_json
from inference.bundles.bundle import Bundle, write_bundle
from inference.feature_store import OnlineFeatures, StoreSettings
from inference.models.artifacts import Artifacts
from inference.models.contents import Contents
from inference.models.encoder import FEATURE_SET_FILE, ITEM_EMBEDDINGS_FILE, TOWERS_FILE, USER_TOWER_FILE
from inference.models.index import ItemIndex
from inference.models.popularity import Popularity
from inference.models.towers import Towers
from tests.kit import world
from tests.kit.bundle_factory import FACTS, content_of, fit_ranker

EVERY = 11  # edition k lacks the items k, k + 11, ...


def make_edition(directory: Path, number: int, place: StoreSettings, dimension: int = world.DIMENSION) -> Bundle:
    """Edition `number` (0 to 10) of the small world, with towers.

    Args:
        directory: Of this edition alone.
        number: Which one.
        place: The filled online store; its users teach the ranker.
        dimension: Length of a vector; long ones make a large bundle.
    """
    kept = np.flatnonzero(np.arange(world.NUM_ITEMS) % EVERY != number)
    vectors = item_vectors(number, dimension)[kept]
    towers, index = directory / "towers", directory / "index"
    write_towers(towers, vectors, edition_features(number))
    index.mkdir()
    ItemIndex.build(vectors).save(index)
    artifacts = edition_artifacts(number, kept, vectors, directory)
    reader = OnlineFeatures(artifacts.feature_set, artifacts.items.item_ids, place)
    ranker = fit_ranker(directory / "ranker", number, artifacts, reader)
    return write_bundle(content_of(directory, artifacts, ranker=ranker), directory / "bundles", FACTS)


def edition_features(number: int) -> FeatureSet:
    """The edition's feature set: one of two, each with rows of its own in the online store."""
    made = world.feature_set()
    countries = world.COUNTRIES[:: -1 if number % 2 else 1]
    return made.model_copy(update={"vocabularies": {**made.vocabularies, "users.country": countries}})


def edition_artifacts(number: int, kept: np.ndarray, vectors: FloatArray, directory: Path) -> Artifacts:
    """The world's tables with the kept rows alone, and the towers in a directory."""
    items = world.items()
    columns = {name: getattr(items, name)[kept] for name in items.__slots__}
    contents = world.contents().to_table().take(kept)
    titles = [f"{item} of edition {number}" for item in contents["item_id"].to_pylist()]
    contents = contents.set_column(contents.column_names.index("title"), "title", [titles])
    rng = np.random.default_rng(number)
    popularity = Popularity.fit(
        np.minimum(rng.geometric(0.02, 5_000) - 1, len(kept) - 1).astype(np.int32),
        world.NOW - rng.uniform(0, 30 * world.DAY, 5_000),
        np.array(world.COUNTRIES, dtype=object)[rng.integers(0, 2, 5_000)],
        np.ones(5_000, dtype=np.int8),
        num_items=len(kept),
        as_of=world.NOW,
        half_life_days=7,
    )
    made = world.artifacts()
    return replace(
        made,
        feature_set=edition_features(number),
        items=replace(items, **columns),
        contents=Contents.from_table(contents, columns["item_ids"]),
    ).with_parts(world.neighbours(vectors), popularity, Towers.load(directory, 1))


def item_vectors(number: int, dimension: int) -> FloatArray:
    """Unit vectors of all items of the world, each edition's turned and shaken in its own way."""
    rng = np.random.default_rng(100 + number)
    vectors = world.embeddings() + 0.3 * rng.normal(size=(world.NUM_ITEMS, world.DIMENSION)).astype(np.float32)
    turned = vectors @ rng.normal(size=(world.DIMENSION, dimension)).astype(np.float32)
    return np.ascontiguousarray(turned / np.linalg.norm(turned, axis=1, keepdims=True), dtype=np.float32)


def write_towers(directory: Path, vectors: FloatArray, feature_set: FeatureSet) -> None:
    """A user tower as training exports it, that takes the mean of the history."""
    directory.mkdir(parents=True)
    feature_set.save(directory / FEATURE_SET_FILE)
    np.save(directory / ITEM_EMBEDDINGS_FILE, vectors)
    config = {"dimension": vectors.shape[1], "history_length": 20}
    write_json(directory / TOWERS_FILE, {"config": config, "user_numeric": list(feature_set.user_numeric)})
    onnx.save(_mean_of_history(vectors.shape[1]), directory / USER_TOWER_FILE)


def _mean_of_history(dimension: int) -> onnx.ModelProto:
    floats, codes = TensorProto.FLOAT, TensorProto.INT64
    kinds: dict[str, tuple[int, list[Any]]] = {
        "history": (floats, ["q", "l", dimension]),
        "ages": (floats, ["q", "l"]),
        "grades": (codes, ["q", "l"]),
        "categorical": (codes, ["q", "c"]),
        "numeric": (floats, ["q", "n"]),
        "request_numeric": (floats, ["q", "r"]),
        "request_categorical": (codes, ["q", "s"]),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["grades"], ["weights"], to=floats),
            helper.make_node("Unsqueeze", ["weights", "last"], ["wide"]),
            helper.make_node("Mul", ["history", "wide"], ["weighed"]),
            helper.make_node("ReduceSum", ["weighed", "middle"], ["total"], keepdims=0),
            helper.make_node("LpNormalization", ["total"], ["vector"], axis=1, p=2),
        ],
        "mean_of_history",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in kinds.items()],
        [helper.make_tensor_value_info("vector", floats, ["q", dimension])],
        [helper.make_tensor("last", codes, [1], [2]), helper.make_tensor("middle", codes, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model
