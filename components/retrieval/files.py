"""The files of fitted towers: training writes them, and each release reads them to embed its items.

towers.json              shapes, columns, end of the training data, number of epochs
feature_set.json         feature set of the training
user_tower.onnx          user tower, for serving
towers.safetensors       both towers: the item tower embeds the items of each new release, later training continues both
item_ids.json            items with an id embedding, in the order of its rows from 1
item_embeddings.npy      vectors of the row map's items as of a given time
"""

from __future__ import annotations

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from components.retrieval.model import TrainableTowers
from feature_repo.errors import BundleError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import FloatArray
from feature_repo.storage.files import atomic_write, read_json, write_json
from inference.models.encoder import FEATURE_SET_FILE, ITEM_EMBEDDINGS_FILE, TOWERS_FILE, USER_TOWER_FILE
from inference.networks.towers import TowersConfig

WEIGHTS_FILE = "towers.safetensors"
ITEM_IDS_FILE = "item_ids.json"
LARGEST_DIFFERENCE = 1e-5  # between vectors of the exported and of the trained tower
_INPUTS = ("history", "ages", "grades", "categorical", "numeric", "request_numeric", "request_categorical")


def save_towers(
    towers: TrainableTowers,
    feature_set: FeatureSet,
    own_ids: npt.NDArray[np.object_],
    description: dict[str, Any],
    directory: Path,
) -> None:
    """Writes all files except the item embeddings.

    Args:
        towers: Trained towers.
        feature_set: The feature set of the training.
        own_ids: Ids of the items that have an id embedding, in the order of its rows from 1.
        description: Additional content of `towers.json`.
        directory: The directory to write.
    """
    directory.mkdir(parents=True, exist_ok=True)
    feature_set.save(directory / FEATURE_SET_FILE)
    write_json(directory / ITEM_IDS_FILE, own_ids.tolist())
    with atomic_write(directory / WEIGHTS_FILE) as path:
        path.write_bytes(save({name: value.cpu() for name, value in towers.weights().items()}))
    export_user_tower(towers, directory / USER_TOWER_FILE)
    write_json(
        directory / TOWERS_FILE,
        {"config": asdict(towers.config), "user_numeric": list(feature_set.user_extras), **description},
    )


def save_embeddings(embeddings: FloatArray, directory: Path) -> None:
    """Writes `item_embeddings.npy`."""
    with atomic_write(directory / ITEM_EMBEDDINGS_FILE) as path, path.open("wb") as file:
        np.save(file, embeddings)


def load_towers(directory: Path) -> tuple[TrainableTowers, FeatureSet, list[str]]:
    """Saved towers, their feature set, and the ids of the items with an id embedding.

    Raises:
        BundleError: If a file is missing or damaged.
    """
    try:
        shapes: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in read_json(directory / TOWERS_FILE)["config"].items()
        }
        towers = TrainableTowers(TowersConfig(**shapes), seed=0)
        towers.load_weights(load_file(directory / WEIGHTS_FILE))
        return towers, FeatureSet.load(directory / FEATURE_SET_FILE), read_json(directory / ITEM_IDS_FILE)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise BundleError(f"The towers in {directory} cannot be read, train again: {error}.") from error


def export_user_tower(towers: TrainableTowers, path: Path) -> None:
    """Writes the user tower as ONNX with dynamic numbers of users and events, and checks it against torch.

    Raises:
        BundleError: If the exported tower gives different vectors.
    """
    tower = towers.users.cpu().eval()
    example = _example(towers.config, num_users=3, num_events=4)
    free = {0: "users", 1: "events"}
    shapes = {name: free if name in ("history", "ages", "grades") else {0: free[0]} for name in _INPUTS}
    with atomic_write(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about shapes that it takes as constants
        # By tracing, because the exporter of `torch.export` takes 20 times as long for the same answers.
        torch.onnx.export(
            tower,
            tuple(example.values()),
            str(temporary),
            input_names=list(_INPUTS),
            output_names=["vectors"],
            dynamic_axes=shapes,
            dynamo=False,
            verbose=False,
        )
    towers.users.to(towers.device)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    read = [given.name for given in session.get_inputs()]  # without the inputs that have no columns
    for num_users, num_events in ((1, 1), (5, towers.config.history_length)):
        example = _example(towers.config, num_users, num_events)
        with torch.no_grad():
            expected = tower.to("cpu")(*example.values()).numpy()
        (found,) = session.run(None, {name: example[name].numpy() for name in read})
        if not np.allclose(found, expected, atol=LARGEST_DIFFERENCE, rtol=0):
            raise BundleError(f"The exported user tower differs from the trained one by {abs(found - expected).max()}.")
    towers.users.to(towers.device)


def _example(config: TowersConfig, num_users: int, num_events: int) -> dict[str, torch.Tensor]:
    """Inputs of the user tower with random content; the first history is empty."""
    random = torch.Generator().manual_seed(num_users)

    def codes(sizes: tuple[int, ...]) -> torch.Tensor:
        columns = [torch.randint(size, (num_users, 1), generator=random) for size in sizes]
        return torch.cat([torch.zeros(num_users, 0, dtype=torch.int64), *columns], dim=1)

    grades = torch.randint(1, config.num_grades + 1, (num_users, num_events), generator=random)
    grades[0] = 0
    return {
        "history": torch.randn(num_users, num_events, config.dimension, generator=random),
        "ages": torch.rand(num_users, num_events, generator=random) * 30,
        "grades": grades,
        "categorical": codes(config.user_categorical),
        "numeric": torch.randn(num_users, config.num_user_numeric, generator=random),
        "request_numeric": torch.randn(num_users, config.num_request_numeric, generator=random),
        "request_categorical": codes(config.request_categorical),
    }
