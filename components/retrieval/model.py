"""The towers during training: both networks, the training data, and the conversion of data to network inputs.

`inference/models/encoder.py` converts inputs at serving time; both modules pad histories with the same function.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.retrieval.content import ItemContent, UserProfiles
from components.retrieval.examples import Examples
from components.retrieval.log import IndexArray, PositiveLog
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.requests.clock import clock_features
from feature_repo.features.state import HISTORY_LENGTH, FloatArray, IntArray, TimeArray
from inference.models.encoder import TOWER_TIME_FEATURES, TowerInputs, pad_history
from inference.networks.towers import ItemTower, TowersConfig, UserTower

_CHUNK = 8192  # items per embedding batch


@dataclass(frozen=True)
class TrainingData:
    """Training data of the towers.

    Attributes:
        log: Positive events, including the span whose recall is measured.
        examples: Examples before the time up to which the towers are fitted.
        items, profiles: Content of items [m] and users [u].
        item_index: Id of each item row for the item tower [m], 0 for unknown.
        feature_set: Names of the columns and sizes of their vocabularies.
    """

    log: PositiveLog
    examples: Examples
    items: ItemContent
    profiles: UserProfiles
    item_index: IndexArray
    feature_set: FeatureSet


class TrainableTowers:
    """Both networks on a device, and the calls that feed them with data."""

    def __init__(self, config: TowersConfig, seed: int) -> None:
        torch.manual_seed(seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.config = config
        self.users = UserTower(config).to(self.device)
        self.items = ItemTower(config).to(self.device)

    def tensor(self, values: npt.NDArray[np.generic]) -> Tensor:
        """An array on the towers' device; whole numbers as int64."""
        array = torch.from_numpy(np.ascontiguousarray(values))
        whole = array.dtype in (torch.int8, torch.int16, torch.int32)
        return (array.long() if whole else array).to(self.device)

    def item_vectors(self, items: ItemContent, numeric: FloatArray, ids: IndexArray, rows: IndexArray) -> Tensor:
        """Unit vectors of item rows with the given ids [n, d]."""
        out: Tensor = self.items(
            self.tensor(ids),
            self.tensor(items.categorical[rows]),
            self.tensor(numeric[rows]),
            self.tensor(items.words[rows]),
        )
        return out

    def user_vectors(self, inputs: TowerInputs, history: Tensor) -> Tensor:
        """Unit vectors of users [q, d]; `history` holds the item vectors of their histories [q, l, d]."""
        out: Tensor = self.users(
            history,
            self.tensor(inputs.ages),
            self.tensor(inputs.grades),
            self.tensor(inputs.categorical),
            self.tensor(inputs.numeric),
            self.tensor(inputs.request_numeric),
            self.tensor(inputs.request_categorical),
        )
        return out

    @torch.no_grad()
    def embed_items(self, items: ItemContent, item_index: IndexArray, time: float) -> FloatArray:
        """Vectors of all items as of a given time [m, d]."""
        self.items.eval()
        numeric = items.numeric(time)
        parts = [np.zeros((0, self.config.dimension), dtype=np.float32)]
        for start in range(0, len(items), _CHUNK):
            rows = np.arange(start, min(start + _CHUNK, len(items)))
            parts.append(self.item_vectors(items, numeric, item_index[rows], rows).cpu().numpy())
        return np.concatenate(parts)


def user_inputs(
    data: TrainingData, users: IntArray, ends: IndexArray, times: TimeArray, request: IntArray
) -> TowerInputs:
    """The user tower's inputs for users [q] whose histories end before positions `ends` of the log [q].

    Args:
        data: The log and profiles.
        users: User of each query [q].
        ends: Position after the last known event [q].
        times: Unix seconds of the queries [q].
        request: Codes of the request columns [q, columns]; the user's country replaces an unknown country.
    """
    rows, ages, grades = pad_history(data.log.histories(users, ends), times, HISTORY_LENGTH)
    request = request.copy()
    if "country" in data.feature_set.request_categorical:
        place = data.feature_set.request_categorical.index("country")
        request[:, place] = np.where(request[:, place] > 0, request[:, place], data.profiles.country[users])
    clock = clock_features(times)
    return TowerInputs(
        rows=rows,
        ages=ages,
        grades=grades,
        categorical=data.profiles.categorical[users].astype(np.int64),
        numeric=data.profiles.numeric[users],
        request_numeric=np.column_stack([clock[name] for name in TOWER_TIME_FEATURES]).astype(np.float32),
        request_categorical=request.astype(np.int64),
    )
