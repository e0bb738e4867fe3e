"""The LightGBM ranker as a bundle holds it: trees in text form and the tables that make probabilities of scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from feature_repo.errors import BundleError, PredictorError
from feature_repo.files import read_json
from feature_repo.state import FloatArray

MODEL_FILE = "model.txt"
CALIBRATION_FILE = "calibration.json"

Table = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


class RankerModel:
    """Scores feature rows; safe to share between threads.

    Args:
        booster: The trees.
        calibration: Objective -> scores ascending and the probabilities at them, linear between, constant beyond.
        num_threads: Threads of one call; 1 is best where several requests run at a time.
    """

    def __init__(self, booster: lgb.Booster, calibration: Mapping[str, Table], num_threads: int = 1) -> None:
        self._booster = booster
        self._calibration = dict(calibration)
        self._num_threads = num_threads
        self.num_features = int(booster.num_feature())

    @property
    def objectives(self) -> tuple[str, ...]:
        """Objectives it gives probabilities for."""
        return tuple(self._calibration)

    @classmethod
    def load(cls, directory: Path, num_threads: int = 1) -> RankerModel:
        """Opens `model.txt` and `calibration.json`.

        Raises:
            BundleError: If one is missing or damaged.
        """
        try:
            text = (directory / MODEL_FILE).read_text(encoding="utf-8")
            booster = lgb.Booster(model_str=text)
            tables = {
                str(objective): (np.asarray(table["x"], dtype=np.float64), np.asarray(table["y"], dtype=np.float64))
                for objective, table in read_json(directory / CALIBRATION_FILE).items()
            }
        except (OSError, ValueError, KeyError, TypeError, lgb.basic.LightGBMError) as error:
            raise BundleError(f"The ranker in {directory} cannot be read: {error}") from error
        for objective, (x, y) in tables.items():
            if len(x) == 0 or len(x) != len(y) or (np.diff(x) < 0).any():
                raise BundleError(f"The calibration of {objective} in {directory} is no ascending table.")
        return cls(booster, tables, num_threads)

    def score(self, features: FloatArray) -> tuple[FloatArray, Mapping[str, FloatArray]]:
        """Scores [n] and, by objective, probabilities [n] of feature rows [n, F].

        Raises:
            PredictorError: If the rows have another number of features than the trees.
        """
        if features.ndim != 2 or features.shape[1] != self.num_features:
            raise PredictorError(
                f"The ranker takes rows of {self.num_features} features and was given shape {list(features.shape)}."
            )
        if len(features) == 0:
            nothing = np.zeros(0, dtype=np.float32)
            return nothing, dict.fromkeys(self._calibration, nothing)
        raw = np.asarray(self._booster.predict(features, num_threads=self._num_threads), dtype=np.float64)
        probabilities = {name: np.interp(raw, x, y).astype(np.float32) for name, (x, y) in self._calibration.items()}
        return raw.astype(np.float32), probabilities
