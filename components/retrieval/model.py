"""The towers during training: both networks, the training data, and the conversion of data to network inputs.

`inference/models/encoder.py` converts inputs at serving time; both modules pad histories with the same function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import embedding

from components.retrieval.content import ItemContent, UserProfiles
from components.retrieval.log import IndexArray, PositiveLog
from components.retrieval.questions import Questions
from components.retrieval.sequences import Examples, HistoryWindows
from feature_repo.dataset.split import DAY
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
        horizon: Seconds within which a question's event may lie; 0 if only the next event is asked for.
    """

    log: PositiveLog
    examples: Examples
    items: ItemContent
    profiles: UserProfiles
    item_index: IndexArray
    feature_set: FeatureSet
    horizon: float


@dataclass(frozen=True, slots=True)
class WindowInputs:
    """The user tower's inputs for b windows and the n questions about them.

    Attributes:
        rows, ages, grades: Events of each window [b, l]; see `HistoryEncoder`.
        profile_categorical, profile_numeric: Profile of each window's user [b, columns].
        windows: Window of each question [n].
        known: Number of events of the window that the question knows [n].
        num_events: Number of events in the history at the question, at most `HISTORY_LENGTH` [n].
        age: Days between the last known event and the question [n].
        request_numeric, request_categorical: Request of each question [n, columns].
    """

    rows: IndexArray
    ages: FloatArray
    grades: IndexArray
    profile_categorical: IndexArray
    profile_numeric: FloatArray
    windows: IndexArray
    known: IndexArray
    num_events: IndexArray
    age: FloatArray
    request_numeric: FloatArray
    request_categorical: IndexArray

    def blanked(self, share: float, rng: np.random.Generator) -> WindowInputs:
        """Inputs in which a random share of profiles, and of request codes, is replaced by "unknown"."""
        profile = rng.random((len(self.rows), 1)) < share
        request = rng.random((len(self.known), 1)) < share
        return replace(
            self,
            profile_categorical=np.where(profile, 0, self.profile_categorical),
            profile_numeric=np.where(profile, np.float32(np.nan), self.profile_numeric),
            request_categorical=np.where(request, 0, self.request_categorical),
        )


class TrainableTowers:
    """Both networks on a device, and the calls that feed them with data."""

    def __init__(self, config: TowersConfig, seed: int) -> None:
        torch.manual_seed(seed)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.config = config
        self.users = UserTower(config).to(self.device)
        self.items = ItemTower(config).to(self.device)

    def weights(self) -> dict[str, Tensor]:
        """Copies of the weights and buffers of both networks, by name."""
        sides = (("users", self.users), ("items", self.items))
        return {
            f"{side}.{name}": value.detach().clone()
            for side, tower in sides
            for name, value in tower.state_dict().items()
        }

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Takes over what `weights` gave.

        Raises:
            RuntimeError: Names or shapes differ.
        """
        for side, tower in (("users", self.users), ("items", self.items)):
            mine = {name: value for name, value in weights.items() if name.startswith(f"{side}.")}
            tower.load_state_dict({name.removeprefix(f"{side}."): value for name, value in mine.items()})

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

    def query_vectors(self, inputs: WindowInputs, history: Tensor, random: torch.Generator | None = None) -> Tensor:
        """Unit vectors of questions [n, d].

        Args:
            inputs: The windows and the questions about them.
            history: Item vectors of the windows [b, l, d].
            random: Draws the dropout of a training step; None drops nothing.
        """
        states = self.users.history(history, self.tensor(inputs.ages), self.tensor(inputs.grades), random)
        place = self.tensor(inputs.windows * states.shape[1] + inputs.known)
        profiles = self.users.profiles(self.tensor(inputs.profile_categorical), self.tensor(inputs.profile_numeric))
        out: Tensor = self.users.answers(
            embedding(place, states.flatten(0, 1)),
            embedding(self.tensor(inputs.windows), profiles),
            self.tensor(inputs.num_events),
            self.tensor(inputs.age),
            self.tensor(inputs.request_numeric),
            self.tensor(inputs.request_categorical),
        )
        return out

    @torch.no_grad()
    def embed_items(self, items: ItemContent, item_index: IndexArray, time: float) -> FloatArray:
        """Vectors of all items as of a given time [m, d]."""
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
    return TowerInputs(
        rows=rows,
        ages=ages,
        grades=grades,
        categorical=data.profiles.categorical[users].astype(np.int64),
        numeric=data.profiles.numeric[users],
        request_numeric=_clock(times),
        request_categorical=_located(data, users, request),
    )


def window_inputs(data: TrainingData, windows: HistoryWindows, asked: Questions) -> WindowInputs:
    """The user tower's inputs for windows [b] and the questions about them [n]."""
    log, users = data.log, data.log.users[windows.firsts]
    lengths = windows.stops - windows.starts
    place = np.arange(max(int(lengths.max(initial=0)), 1))
    present = place < lengths[:, None]
    at = np.where(present, windows.starts[:, None] + place, windows.starts[:, None])
    last = log.times[windows.stops - 1]
    known_until = windows.starts[asked.windows] + asked.known
    age = (asked.times - log.times[np.maximum(known_until - 1, 0)]) / DAY
    return WindowInputs(
        rows=np.where(present, log.rows[at], 0).astype(np.int64),
        ages=np.where(present, (last[:, None] - log.times[at]) / DAY, 0.0).astype(np.float32),
        grades=np.where(present, log.grades[at], 0).astype(np.int64),
        profile_categorical=data.profiles.categorical[users].astype(np.int64),
        profile_numeric=data.profiles.numeric[users],
        windows=asked.windows,
        known=asked.known,
        num_events=np.minimum(known_until - log.offsets[users][asked.windows], HISTORY_LENGTH),
        age=np.where(asked.known > 0, np.maximum(age, 0.0), 0.0).astype(np.float32),
        request_numeric=_clock(asked.times),
        request_categorical=_located(data, users[asked.windows], log.request[asked.positions]),
    )


def _clock(times: TimeArray) -> FloatArray:
    clock = clock_features(times)
    return np.column_stack([clock[name] for name in TOWER_TIME_FEATURES]).astype(np.float32)


def _located(data: TrainingData, users: IntArray, request: IntArray) -> IndexArray:
    """Request codes [n, columns] with the user's country in place of an unknown one."""
    codes = request.astype(np.int64)
    if "country" in data.feature_set.request_categorical:
        place = data.feature_set.request_categorical.index("country")
        codes[:, place] = np.where(codes[:, place] > 0, codes[:, place], data.profiles.country[users])
    return codes
