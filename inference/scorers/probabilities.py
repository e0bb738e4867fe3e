"""Calibrated probabilities of the objectives, which rankers of every kind return next to their scores.

An objective may have a head: trees that predict only this objective. Without a head, the ranker's score is calibrated
to the objective's probability.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from feature_repo.errors import BundleError
from feature_repo.features.state import FloatArray
from feature_repo.storage.files import read_json

CALIBRATION_FILE = "calibration.json"
HEAD_PREFIX, HEAD_SUFFIX = "head_", ".txt"

Table = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def head_file(objective: str) -> str:
    """Returns the file name of an objective's head."""
    return f"{HEAD_PREFIX}{objective}{HEAD_SUFFIX}"


class Probabilities:
    """Computes the probability of every objective; thread-safe.

    Args:
        calibration: Objective -> ascending scores and their probabilities; linear in between, constant outside.
        heads: Objective -> trees whose raw score is calibrated; other objectives use the ranker's score.
        num_threads: Threads of one call.
    """

    def __init__(self, calibration: Mapping[str, Table], heads: Mapping[str, lgb.Booster], num_threads: int) -> None:
        self._calibration = dict(calibration)
        self._heads = dict(heads)
        self._num_threads = num_threads

    @property
    def objectives(self) -> tuple[str, ...]:
        """Objectives with a calibrated probability."""
        return tuple(self._calibration)

    @classmethod
    def load(cls, directory: Path, num_features: int, num_threads: int) -> Probabilities:
        """Loads `calibration.json` and the heads of a ranker's folder.

        Args:
            directory: Folder of the ranker.
            num_features: Number of features of the ranker.
            num_threads: Threads of one call.

        Raises:
            BundleError: If a file is missing or damaged, or does not fit the ranker.
        """
        try:
            tables = {
                str(objective): (np.asarray(table["x"], dtype=np.float64), np.asarray(table["y"], dtype=np.float64))
                for objective, table in read_json(directory / CALIBRATION_FILE).items()
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"The ranker in {directory} cannot be read: {error}.") from error
        heads = {name: read_booster(directory / head_file(name)) for name in tables if _has_head(directory, name)}
        for objective, (x, y) in tables.items():
            if len(x) == 0 or len(x) != len(y) or (np.diff(x) < 0).any():
                raise BundleError(
                    f"The calibration of {objective} in {directory} is not an ascending table: train again."
                )
        for objective, head in heads.items():
            if head.num_feature() != num_features:
                raise BundleError(
                    f"The head of {objective} in {directory} was fitted on other features than the ranker: train again."
                )
        return cls(tables, heads, num_threads)

    def of(self, features: FloatArray, score: npt.NDArray[np.float64]) -> dict[str, FloatArray]:
        """Returns objective -> probabilities [n] of feature rows [n, F] with the ranker's scores [n]."""
        found = {}
        for name, (x, y) in self._calibration.items():
            head = self._heads.get(name)
            raw = score if head is None or not len(features) else raw_scores(head, features, self._num_threads)
            found[name] = np.interp(raw, x, y).astype(np.float32)
        return found


def raw_scores(booster: lgb.Booster, features: FloatArray, num_threads: int) -> npt.NDArray[np.float64]:
    """Returns the raw scores [n] of trees for feature rows [n, F], n > 0."""
    return np.asarray(booster.predict(features, raw_score=True, num_threads=num_threads), dtype=np.float64)


def read_booster(path: Path) -> lgb.Booster:
    """Reads trees in text form.

    Raises:
        BundleError: If the file is missing or damaged.
    """
    try:
        return lgb.Booster(model_str=path.read_text(encoding="utf-8"))
    except (OSError, ValueError, lgb.basic.LightGBMError) as error:
        raise BundleError(f"The ranker in {path.parent} cannot be read: {error}.") from error


def _has_head(directory: Path, objective: str) -> bool:
    return (directory / head_file(objective)).exists()
