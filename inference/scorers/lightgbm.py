"""The LightGBM ranker of a bundle: trees in text form, and calibration tables that map scores to probabilities.

An objective may have a head: trees that predict only this objective. Without a head, the ranker's score is calibrated
to the objective's probability.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from feature_repo.errors import BundleError, PredictorError
from feature_repo.features.state import FloatArray
from feature_repo.storage.files import read_json

MODEL_FILE = "model.txt"
CALIBRATION_FILE = "calibration.json"

HEAD_PREFIX, HEAD_SUFFIX = "head_", ".txt"

Table = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def head_file(objective: str) -> str:
    """Returns the file name of an objective's head."""
    return f"{HEAD_PREFIX}{objective}{HEAD_SUFFIX}"


class LightGbmRanker:
    """Scores feature rows; thread-safe.

    Args:
        booster: The trees that order the candidates.
        calibration: Objective -> ascending scores and their probabilities; linear in between, constant outside.
        heads: Objective -> trees whose raw score is calibrated; other objectives use the ranker's score.
        num_threads: Threads of one call; 1 is best if several requests run at the same time.
    """

    def __init__(
        self,
        booster: lgb.Booster,
        calibration: Mapping[str, Table],
        heads: Mapping[str, lgb.Booster] | None = None,
        num_threads: int = 1,
    ) -> None:
        self._booster = booster
        self._calibration = dict(calibration)
        self._heads = dict(heads or {})
        self._num_threads = num_threads
        self.num_features = int(booster.num_feature())

    @property
    def objectives(self) -> tuple[str, ...]:
        """Objectives with a calibrated probability."""
        return tuple(self._calibration)

    @classmethod
    def load(cls, directory: Path, num_threads: int = 1) -> LightGbmRanker:
        """Loads `model.txt`, `calibration.json` and the heads.

        Raises:
            BundleError: If a file is missing or damaged.
        """
        try:
            booster = _read(directory / MODEL_FILE)
            tables = {
                str(objective): (np.asarray(table["x"], dtype=np.float64), np.asarray(table["y"], dtype=np.float64))
                for objective, table in read_json(directory / CALIBRATION_FILE).items()
            }
            heads = {
                name: _read(directory / head_file(name)) for name in tables if (directory / head_file(name)).exists()
            }
        except (OSError, ValueError, KeyError, TypeError, lgb.basic.LightGBMError) as error:
            raise BundleError(f"The ranker in {directory} cannot be read: {error}.") from error
        for objective, (x, y) in tables.items():
            if len(x) == 0 or len(x) != len(y) or (np.diff(x) < 0).any():
                raise BundleError(
                    f"The calibration of {objective} in {directory} is not an ascending table: train again."
                )
        for objective, head in heads.items():
            if head.num_feature() != booster.num_feature():
                raise BundleError(
                    f"The head of {objective} in {directory} was fitted on other features than the ranker: train again."
                )
        return cls(booster, tables, heads, num_threads)

    def score(self, features: FloatArray) -> tuple[FloatArray, Mapping[str, FloatArray]]:
        """Returns scores [n] and, by objective, probabilities [n] of feature rows [n, F].

        Raises:
            PredictorError: If the number of features differs from the trees'.
        """
        if features.ndim != 2 or features.shape[1] != self.num_features:
            raise PredictorError(
                f"The ranker takes rows of {self.num_features} features and received shape {list(features.shape)}."
            )
        if len(features) == 0:
            nothing = np.zeros(0, dtype=np.float32)
            return nothing, dict.fromkeys(self._calibration, nothing)
        raw = self._raw(self._booster, features)
        probabilities = {}
        for name, (x, y) in self._calibration.items():
            head = self._heads.get(name)
            score = raw if head is None else self._raw(head, features)
            probabilities[name] = np.interp(score, x, y).astype(np.float32)
        return raw.astype(np.float32), probabilities

    def _raw(self, booster: lgb.Booster, features: FloatArray) -> npt.NDArray[np.float64]:
        return np.asarray(booster.predict(features, raw_score=True, num_threads=self._num_threads), dtype=np.float64)


def _read(path: Path) -> lgb.Booster:
    return lgb.Booster(model_str=path.read_text(encoding="utf-8"))
