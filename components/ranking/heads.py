"""Fits a calibrated probability for every objective, in addition to the ranker's order.

LambdaMART learns which candidates will be shown and liked, mostly from candidates that were never shown. The
probability of a click on a shown item is a different question. If the log has impressions, each objective with enough
positives gets a head: trees on the shown rows with log loss. The other objectives, and all objectives of a log without
impressions, use the ranker's score. Isotonic regression calibrates both (Zadrozny and Elkan, KDD 2002).

The validation span chooses the number of trees of a head. The head is then fitted again on the rows of both spans, so
no span is left that it has not seen: for the calibration, each span has the scores of trees that were fitted on the
other span, as in a cross-validation of two folds (Platt, "Probabilistic outputs for support vector machines", 1999). A
score of the ranker is calibrated on the validation span.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from sklearn.isotonic import IsotonicRegression

from components.ranking.rows import RankingRows
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import FloatArray
from feature_repo.storage.files import atomic_write, write_json
from inference.scorers.probabilities import CALIBRATION_FILE, head_file


class HeadConfig(BaseModel):
    """Parameters of a head's trees, which are small because heads run within the ranker's milliseconds.

    Attributes:
        fewest_positives: Minimum number of shown rows that reach an objective for it to get a head.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fewest_positives: int = 200
    num_trees: int = 120
    num_leaves: int = 15
    learning_rate: float = 0.08
    min_rows_in_leaf: int = 100
    feature_fraction: float = 0.6
    lambda_l2: float = 5.0
    category_smoothing: float = 100.0
    patience: int = 20
    num_threads: int = 2
    seed: int = 0


def fit_probabilities(
    train: RankingRows,
    validation: RankingRows,
    scores: npt.NDArray[np.float64],
    feature_set: FeatureSet,
    out_dir: Path,
    config: HeadConfig,
) -> dict[str, int]:
    """Fits the heads, calibrates the probabilities, and writes both.

    Args:
        train: Rows of the ranking span, including silent groups.
        validation: Rows of the validation span, later than all rows of `train`.
        scores: The ranker's scores of `validation` [n].
        feature_set: Names and categorical columns of the features.
        out_dir: Existing folder; receives calibration.json and a `head_file` per head.
        config: Parameters of the trees.

    Returns:
        Objective -> number of trees of its head; objectives without a head are absent.
    """
    objectives = feature_set.objectives
    use = validation.shown if validation.shown.any() else np.ones(len(validation), dtype=np.bool_)
    tables: dict[str, dict[str, list[float]]] = {}
    trees: dict[str, int] = {}
    learn, judge = train.keep(train.shown), validation.keep(use)
    for column, objective in enumerate(objectives):
        raw = scores[use]
        given, wanted = learn.labels[:, column], judge.labels[:, column]
        if validation.shown.any() and _enough(given, config) and wanted.any():
            head = _Head.fit(learn.features, given, judge.features, wanted, feature_set, config)
            with atomic_write(out_dir / head_file(objective)) as path:
                path.write_text(head.booster.model_to_string(), encoding="utf-8")
            raw, wanted = head.raw, head.labels
            trees[objective] = head.booster.num_trees()
        tables[objective] = calibrate(raw, wanted)
    write_json(out_dir / CALIBRATION_FILE, tables)
    return trees


def calibrate(
    raw: npt.NDArray[np.float64], labels: npt.NDArray[np.int8], *, num_knots: int = 200
) -> dict[str, list[float]]:
    """A monotone map from scores to probabilities: isotonic regression, thinned to a piecewise linear table.

    Args:
        raw: Scores [n], n > 0.
        labels: 0/1 [n].
        num_knots: Maximum number of points of the table.

    Returns:
        {"x": scores ascending, "y": probabilities}.
    """
    model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(raw, labels)
    x, y = model.X_thresholds_, model.y_thresholds_
    if len(x) > num_knots:
        picked = np.unique(np.linspace(0, len(x) - 1, num_knots).astype(int))
        x, y = x[picked], y[picked]
    # An isotonic block without positives means "rare", not "never", because log loss must stay finite.
    floor = 0.5 / (len(labels) + 1)
    return {"x": x.tolist(), "y": np.clip(y, floor, 1.0 - floor).tolist()}


def _enough(labels: npt.NDArray[np.int8], config: HeadConfig) -> bool:
    """Whether both outcomes are frequent enough to fit a head."""
    positives = int(labels.sum())
    return min(positives, len(labels) - positives) >= config.fewest_positives


@dataclass(frozen=True, slots=True)
class _Head:
    """A head fitted on both spans.

    Attributes:
        booster: The trees.
        raw: Raw score of each row of both spans by trees that were fitted on the other span [n].
        labels: 0/1 of the same rows [n].
    """

    booster: lgb.Booster
    raw: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int8]

    @classmethod
    def fit(
        cls,
        features: FloatArray,
        labels: npt.NDArray[np.int8],
        later_features: FloatArray,
        later_labels: npt.NDArray[np.int8],
        feature_set: FeatureSet,
        config: HeadConfig,
    ) -> Self:
        """Chooses the number of trees on the later rows, fits each span alone for the calibration, then both."""
        parameters, span = _parameters(config), len(features)
        first = _dataset(features, labels, feature_set)
        early = lgb.train(
            parameters,
            first,
            num_boost_round=config.num_trees,
            valid_sets=[first.create_valid(later_features, later_labels)],
            callbacks=[lgb.early_stopping(config.patience, verbose=False)],
        )
        whole, both = np.concatenate([features, later_features]), np.concatenate([labels, later_labels])
        binned = _dataset(whole, both, feature_set).construct()  # bins depend on features only, so all fits share them
        later = lgb.train(parameters, binned.subset(list(range(span, len(both)))), early.best_iteration)
        raw = np.concatenate([_raw(later, features, config), _raw(early, later_features, config)])
        return cls(lgb.train(parameters, binned, num_boost_round=early.best_iteration), raw, both)


def _raw(booster: lgb.Booster, features: FloatArray, config: HeadConfig) -> npt.NDArray[np.float64]:
    """Raw scores [n] of the best number of trees."""
    return np.asarray(booster.predict(features, num_threads=config.num_threads, raw_score=True), dtype=np.float64)


def _dataset(features: FloatArray, labels: npt.NDArray[np.int8], feature_set: FeatureSet) -> lgb.Dataset:
    names, categorical = list(feature_set.ranker_features), list(feature_set.categorical_indices)
    return lgb.Dataset(features, labels, feature_name=names, categorical_feature=categorical, params={"verbosity": -1})


def _parameters(config: HeadConfig) -> dict[str, Any]:
    return {
        "objective": "binary",
        "num_leaves": config.num_leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": config.min_rows_in_leaf,
        "feature_fraction": config.feature_fraction,
        "lambda_l2": config.lambda_l2,
        "cat_smooth": config.category_smoothing,
        "cat_l2": config.category_smoothing,
        "max_cat_threshold": 16,
        "num_threads": config.num_threads,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
