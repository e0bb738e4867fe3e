"""Fits LightGBM LambdaMART on the rows of `rows.py`, stops it by `judging.py`, and fits probabilities (`heads.py`).

Reference: Burges, "From RankNet to LambdaRank to LambdaMART", MSR-TR-2010-82. Positions are not a feature. If the log
has them, LightGBM's unbiased lambdarank estimates and removes their effect (Hu et al., "Unbiased LambdaMART", WWW
2019).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from components.ranking.choice import choose_order
from components.ranking.heads import HeadConfig, fit_probabilities
from components.ranking.judging import DEPTH, JudgedQueries
from components.ranking.rows import RankingRows
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import FloatArray
from feature_repo.progress import say
from feature_repo.storage.files import atomic_write, write_json
from inference.scorers.lightgbm import MODEL_FILE
from inference.scorers.ranker import IMPORTANCE_FILE

NUM_NAMED = 5  # features that the progress line names
METRIC = f"ndcg@{DEPTH}"


class RankerConfig(BaseModel):
    """Parameters of the trees; the defaults suit tens of thousands to a million rows.

    Trees are small: larger trees fit the seed as much as the log (DECISIONS 27).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_trees: int = 400
    num_leaves: int = 8
    learning_rate: float = 0.05
    min_rows_in_leaf: int = 100
    feature_fraction: float = 0.6
    lambda_l2: float = 5.0
    category_smoothing: float = 500.0
    truncation: int = 30
    patience: int = 80
    num_threads: int = 2
    seed: int = 0

    @classmethod
    def of(cls, recipe: str, seed: int) -> Self:
        """The defaults for `fast`; more and smaller steps for `best`, whose trees are slower in serving too."""
        if recipe == "best":
            return cls(num_trees=1_000, learning_rate=0.02, patience=100, seed=seed)
        return cls(seed=seed)


def fit_ranker(
    train: RankingRows,
    validation: RankingRows,
    judged: JudgedQueries,
    feature_set: FeatureSet,
    out_dir: Path,
    config: RankerConfig,
    *,
    served: tuple[RankingRows, RankingRows] | None = None,
) -> dict[str, float]:
    """Fits the trees, stopped early by NDCG@20 of `judged`, and a probability per objective; writes the chosen order.

    Args:
        train: Rows of the ranking span.
        validation: Rows of the validation span, later than all rows of `train`, for the probabilities.
        judged: Queries of the validation span with all their candidates, for the number of trees and the choice.
        feature_set: Names and categorical columns of the features.
        out_dir: Existing folder; receives importance.json, the files of the chosen order (model.txt for the trees) and
            those of `fit_probabilities`.
        config: Parameters of the trees.
        served: `train` and `validation` with served features, for the heads; by default the rows as given.

    Returns:
        Metrics of the run: trees, validation NDCG@20, rows and groups, trees of the heads.
    """
    heads_train, heads_validation = served or (train, validation)
    train = train.learnable()
    booster, best = _boosted(train, judged, feature_set, config)
    chosen = choose_order(train, judged, _scores(booster, judged.features, config), feature_set)
    say(f"ranker: {chosen.description.reason}")
    if chosen.by_trees:
        raw = _scores(booster, validation.features, config)
        with atomic_write(out_dir / MODEL_FILE) as path:
            path.write_text(booster.model_to_string(num_iteration=booster.best_iteration), encoding="utf-8")
    else:
        raw = chosen.order.scores(validation.features)
    head_config = HeadConfig(num_threads=config.num_threads, seed=config.seed)
    heads = fit_probabilities(heads_train, heads_validation, raw, feature_set, out_dir, head_config)
    chosen.save(out_dir)
    write_json(out_dir / IMPORTANCE_FILE, _importance(booster, feature_set))
    return {
        "trees": float(booster.best_iteration),
        "validation_ndcg@20": best,
        "train_rows": float(len(train)),
        "train_groups": float(len(train.group_sizes)),
        "validation_rows": float(len(validation)),
        **{f"trees_{objective}": float(trees) for objective, trees in heads.items()},
    }


def _boosted(
    train: RankingRows, judged: JudgedQueries, feature_set: FeatureSet, config: RankerConfig
) -> tuple[lgb.Booster, float]:
    """The trees fitted to learnable rows, and the NDCG@20 of the judged queries at which they stopped."""
    dataset = _dataset(train, feature_set, with_positions=bool((train.positions >= 0).any()))
    history: dict[str, dict[str, list[float]]] = {}
    booster = lgb.train(
        _parameters(config, len(train), len(feature_set.objectives)),
        dataset,
        num_boost_round=config.num_trees,
        valid_sets=[_watched(judged, dataset)],
        valid_names=["validation"],
        feval=_judge_scores(judged),
        callbacks=[
            lgb.early_stopping(config.patience, verbose=False),
            lgb.record_evaluation(history),
            _report_progress(every=50),
        ],
    )
    best = float(history["validation"][METRIC][booster.best_iteration - 1])
    most = list(_importance(booster, feature_set))[:NUM_NAMED]
    say(
        f"ranker: {booster.best_iteration} trees, NDCG@20 of the validation queries {best:.4f}; most gain from "
        f"{', '.join(most)}"
    )
    return booster, best


def _importance(booster: lgb.Booster, feature_set: FeatureSet) -> dict[str, float]:
    """Gain of each feature over the trees, the greatest first."""
    gains = booster.feature_importance("gain", iteration=booster.best_iteration)
    return {feature_set.ranker_features[place]: float(gains[place]) for place in np.argsort(-gains)}


def _scores(booster: lgb.Booster, features: FloatArray, config: RankerConfig) -> npt.NDArray[np.float64]:
    """Scores [n] of the trees up to the best iteration; float64 also for no rows."""
    if not len(features):
        return np.zeros(0)
    raw = booster.predict(features, num_iteration=booster.best_iteration, num_threads=config.num_threads)
    return np.asarray(raw, dtype=np.float64)


def _parameters(config: RankerConfig, num_rows: int, num_objectives: int) -> dict[str, Any]:
    """LightGBM's parameters for a given number of rows."""
    return {
        "objective": "lambdarank",
        "metric": "None",
        "label_gain": list(range(num_objectives + 1)),
        "lambdarank_truncation_level": config.truncation,
        "num_leaves": config.num_leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": min(config.min_rows_in_leaf, max(1, num_rows // 50)),
        "feature_fraction": config.feature_fraction,
        "lambda_l2": config.lambda_l2,
        "cat_smooth": config.category_smoothing,
        "cat_l2": config.category_smoothing,
        "min_data_per_group": 500,
        "max_cat_threshold": 16,
        "num_threads": config.num_threads,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _dataset(rows: RankingRows, feature_set: FeatureSet, *, with_positions: bool) -> lgb.Dataset:
    positions = _positions(rows) if with_positions else None
    return lgb.Dataset(
        rows.features,
        label=rows.grades,
        group=rows.group_sizes,
        position=positions,
        feature_name=list(feature_set.ranker_features),
        categorical_feature=list(feature_set.categorical_indices),
        params={"verbosity": -1},
        free_raw_data=True,
    )


def _watched(judged: JudgedQueries, reference: lgb.Dataset) -> lgb.Dataset:
    """The judged queries as a dataset without positions: early stopping ranks by the trees alone."""
    sizes = np.diff(judged.offsets)
    return reference.create_valid(
        judged.features, label=judged.relevant.astype(np.int8), group=sizes[sizes > 0], params={"verbosity": -1}
    )


def _judge_scores(judged: JudgedQueries):  # type: ignore[no-untyped-def]
    """A LightGBM metric: mean NDCG at `DEPTH` of the judged queries."""

    def evaluate(scores: npt.NDArray[np.float64], _: lgb.Dataset) -> tuple[str, float, bool]:
        return METRIC, float(judged.ndcg(scores).mean()), True

    return evaluate


def _positions(rows: RankingRows) -> npt.NDArray[np.int32]:
    """Positions of all rows; a row that was not shown gets the position of a random shown row.

    A separate bucket for unshown rows would let the position effect explain that these rows have no outcome. The trees
    would then learn little (NDCG@20 on the simulated world: 0.187 with the bucket, 0.240 without).
    """
    shown = rows.positions[rows.positions >= 0]
    drawn = np.random.default_rng(0).choice(shown, size=len(rows))
    return np.where(rows.positions < 0, drawn, rows.positions).astype(np.int32)


def _report_progress(every: int):  # type: ignore[no-untyped-def]
    """A LightGBM callback that prints a line every few trees."""

    def callback(env: lgb.callback.CallbackEnv) -> None:
        if (env.iteration + 1) % every == 0 and env.evaluation_result_list:
            say(f"ranker: tree {env.iteration + 1}, validation NDCG@20 {env.evaluation_result_list[0][2]:.4f}")

    return callback
