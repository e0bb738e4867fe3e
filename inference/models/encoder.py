"""Encodes users as vectors: the exported user tower and its input arrays.

Reads the tower's files: `towers.json`, `user_tower.onnx`, `item_embeddings.npy` and the `feature_set.json` that they
were fitted with. Converts `UserColumns` and queries to the tower's inputs; training uses the same conversion. The
module needs only onnxruntime and numpy, not torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf, NoSuchFile

from feature_repo.dataset.split import DAY
from feature_repo.errors import BundleError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.request_group import RequestContext
from feature_repo.features.state import FloatArray, History, TimeArray, UserColumns
from feature_repo.features.transforms import request_features
from feature_repo.storage.files import read_json

TOWERS_FILE = "towers.json"
USER_TOWER_FILE = "user_tower.onnx"
ITEM_EMBEDDINGS_FILE = "item_embeddings.npy"
FEATURE_SET_FILE = "feature_set.json"
TOWER_TIME_FEATURES = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos")
_ONNX_ERRORS = (Fail, InvalidGraph, InvalidProtobuf, NoSuchFile)
_CHUNK = 1024  # queries per call: 13 MB of history vectors
CodeArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TowerInputs:
    """The inputs of the user tower for q queries, except the vectors of the history.

    Attributes:
        rows: Item rows of the last events [q, l], oldest first, padded with 0 at the end.
        ages: Days between each event and the query [q, l], padded with 0.
        grades: Objective grade of each event [q, l], padded with 0.
        categorical: Profile codes [q, columns].
        numeric: Profile numbers [q, columns]; NaN means missing.
        request_numeric: Request numbers [q, len(TOWER_TIME_FEATURES)].
        request_categorical: Request codes [q, columns].
    """

    rows: CodeArray
    ages: FloatArray
    grades: CodeArray
    categorical: CodeArray
    numeric: FloatArray
    request_numeric: FloatArray
    request_categorical: CodeArray

    def feeds(self, embeddings: FloatArray) -> dict[str, FloatArray | CodeArray]:
        """Returns the tower's named inputs; the history's vectors come from the item embeddings [m, d]."""
        return {
            "history": embeddings[self.rows],
            "ages": self.ages,
            "grades": self.grades,
            "categorical": self.categorical,
            "numeric": self.numeric,
            "request_numeric": self.request_numeric,
            "request_categorical": self.request_categorical,
        }


class UserEncoder:
    """Encodes users with the exported tower; thread-safe."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        embeddings: FloatArray,
        feature_set: FeatureSet,
        user_numeric: Sequence[str],
        history_length: int,
    ) -> None:
        self._session = session
        # An exported tower lacks the inputs that have no columns.
        self._read = frozenset(given.name for given in session.get_inputs())
        self._embeddings = embeddings
        self._feature_set = feature_set
        self._user_numeric = [feature_set.user_numeric.index(name) for name in user_numeric]
        self._history_length = history_length

    @property
    def dimension(self) -> int:
        """Length d of a vector."""
        return int(self._embeddings.shape[1])

    @property
    def item_embeddings(self) -> FloatArray:
        """The item embeddings [m, d], which also represent the items of a history."""
        return self._embeddings

    @classmethod
    def load(cls, directory: Path | str, num_threads: int = 1) -> UserEncoder:
        """Loads the towers of a training stage or a bundle.

        Args:
            directory: Holds `towers.json`, `feature_set.json`, `user_tower.onnx` and `item_embeddings.npy`.
            num_threads: Threads of one call.

        Raises:
            BundleError: If a file is missing or damaged, or the files do not match.
        """
        directory = Path(directory)
        feature_set = FeatureSet.load(directory / FEATURE_SET_FILE)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            description = read_json(directory / TOWERS_FILE)
            embeddings = np.load(directory / ITEM_EMBEDDINGS_FILE, allow_pickle=False)
            session = onnxruntime.InferenceSession(
                str(directory / USER_TOWER_FILE), options, providers=["CPUExecutionProvider"]
            )
            if embeddings.shape[1:] != (description["config"]["dimension"],):
                raise BundleError(f"The item embeddings in {directory} do not have the towers' dimension: train again.")
            return cls(
                session,
                embeddings,
                feature_set,
                description["user_numeric"],
                description["config"]["history_length"],
            )
        except (OSError, EOFError, ValueError, KeyError, *_ONNX_ERRORS) as error:
            raise BundleError(f"The towers in {directory} cannot be read, train again: {error}.") from error

    def encode(self, users: UserColumns, queries: Sequence[RequestContext]) -> FloatArray:
        """Encodes the queries' users as unit vectors.

        Args:
            users: State of the users [q].
            queries: The q queries, for their times and contexts.

        Returns:
            Unit vectors [q, d].
        """
        if not queries:
            return np.zeros((0, self.dimension), dtype=np.float32)
        inputs = self.inputs(users, queries)
        parts = []
        for start in range(0, len(queries), _CHUNK):
            part = TowerInputs(*(getattr(inputs, name)[start : start + _CHUNK] for name in TowerInputs.__slots__))
            feeds = {name: value for name, value in part.feeds(self._embeddings).items() if name in self._read}
            (vectors,) = self._session.run(None, feeds)
            parts.append(vectors)
        return np.concatenate(parts)

    def inputs(self, users: UserColumns, queries: Sequence[RequestContext]) -> TowerInputs:
        """Returns the tower's inputs for queries [q] and their users [q]."""
        times = np.array([query.time for query in queries], dtype=np.float64)
        rows, ages, grades = pad_history(users.history, times, self._history_length)
        numeric, codes = split_request(request_features(queries, users.country, self._feature_set), self._feature_set)
        return TowerInputs(
            rows=rows,
            ages=ages,
            grades=grades,
            categorical=users.categorical.astype(np.int64),
            numeric=np.ascontiguousarray(users.numeric[:, self._user_numeric]),
            request_numeric=numeric,
            request_categorical=codes,
        )


def split_request(features: FloatArray, feature_set: FeatureSet) -> tuple[FloatArray, CodeArray]:
    """Returns the numbers and the codes of `transforms.request_features` [q, r] that the tower reads."""
    numeric = features[:, [feature_set.request_numeric.index(name) for name in TOWER_TIME_FEATURES]]
    codes = features[:, len(feature_set.request_numeric) :]
    return np.ascontiguousarray(numeric), codes.astype(np.int64)


def pad_history(history: History, times: TimeArray, length: int) -> tuple[CodeArray, FloatArray, CodeArray]:
    """Returns the last events as padded arrays.

    Args:
        history: Events of q users, oldest first.
        times: Unix seconds of the queries [q].
        length: Number of latest events per user.

    Returns:
        Item rows, ages in days (at least 0) and grades, each [q, l], padded with 0. l is the length of the longest
        history, at least 1.
    """
    ends = history.offsets[1:]
    kept = np.minimum(np.diff(history.offsets), length)
    width = max(int(kept.max(initial=0)), 1)
    present = np.arange(width) < kept[:, None]
    at = ((ends - kept)[:, None] + np.arange(width))[present]
    rows = np.zeros(present.shape, dtype=np.int64)
    grades = np.zeros(present.shape, dtype=np.int64)
    ages = np.zeros(present.shape, dtype=np.float32)
    rows[present] = history.rows[at]
    grades[present] = history.grades[at]
    ages[present] = np.maximum((np.repeat(times, kept) - history.times[at]) / DAY, 0.0)
    return rows, ages, grades
