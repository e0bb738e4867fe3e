"""The LightGBM ranker of a bundle: trees in text form that order the candidates, and calibrated probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from feature_repo.errors import PredictorError
from feature_repo.features.state import FloatArray
from inference.scorers.probabilities import Probabilities, raw_scores, read_booster

MODEL_FILE = "model.txt"


class LightGbmRanker:
    """Scores feature rows; thread-safe.

    Args:
        booster: The trees that order the candidates.
        probabilities: Probabilities of the objectives.
        num_threads: Threads of one call; 1 is best if several requests run at the same time.
    """

    def __init__(self, booster: lgb.Booster, probabilities: Probabilities, num_threads: int = 1) -> None:
        self._booster = booster
        self._probabilities = probabilities
        self._num_threads = num_threads
        self.num_features = int(booster.num_feature())

    @property
    def objectives(self) -> tuple[str, ...]:
        """Objectives with a calibrated probability."""
        return self._probabilities.objectives

    @classmethod
    def load(cls, directory: Path, num_threads: int = 1) -> LightGbmRanker:
        """Loads `model.txt` and the files of the probabilities.

        Raises:
            BundleError: If a file is missing or damaged.
        """
        booster = read_booster(directory / MODEL_FILE)
        return cls(booster, Probabilities.load(directory, booster.num_feature(), num_threads), num_threads)

    def score(self, features: FloatArray) -> tuple[FloatArray, Mapping[str, FloatArray]]:
        """Returns scores [n] and, by objective, probabilities [n] of feature rows [n, F].

        Raises:
            PredictorError: If the number of features differs from the trees'.
        """
        raw = self._raw(features)
        return raw.astype(np.float32), self._probabilities.of(features, raw)

    def order(self, features: FloatArray) -> FloatArray:
        """Returns the scores [n] of `score` without the cost of the probabilities, which often have more trees."""
        return self._raw(features).astype(np.float32)

    def _raw(self, features: FloatArray) -> npt.NDArray[np.float64]:
        if features.ndim != 2 or features.shape[1] != self.num_features:
            raise PredictorError(
                f"The ranker takes rows of {self.num_features} features and received shape {list(features.shape)}."
            )
        return raw_scores(self._booster, features, self._num_threads) if len(features) else np.zeros(0)
