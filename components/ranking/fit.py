"""LightGBM LambdaMART over the rows of `rows.py`, and its calibration to probabilities.

Reference: Burges, "From RankNet to LambdaRank to LambdaMART", MSR-TR-2010-82. Positions, where the log has them, go to
LightGBM's unbiased lambdarank, which estimates and removes their effect (Hu et al., "Unbiased LambdaMART", WWW 2019);
they are no feature.
"""

from __future__ import annotations

import json
from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from sklearn.isotonic import IsotonicRegression

from components.ranking.rows import RankingRows
from feature_repo.feature_set import FeatureSet
from feature_repo.files import atomic_write, write_json
from feature_repo.progress import say


class RankerConfig(BaseModel):
    """How the trees are grown; the defaults hold from tens of thousands to a million rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_trees: int = 400
    num_leaves: int = 31
    learning_rate: float = 0.05
    min_rows_in_leaf: int = 100
    feature_fraction: float = 0.6
    lambda_l2: float = 5.0
    category_smoothing: float = 500.0
    truncation: int = 30
    patience: int = 40
    num_threads: int = 2
    seed: int = 0


def fit_ranker(
    train: RankingRows, validation: RankingRows, feature_set: FeatureSet, out_dir: Path, config: RankerConfig
) -> dict[str, float]:
    """Fit the trees, stop early on validation NDCG@20, calibrate every objective, and write the model.

    Args:
        train: Rows of the ranking span.
        validation: Rows of the validation span, later than all of `train`.
        feature_set: Names and categorical columns of the features.
        out_dir: Receives model.txt, calibration.json, importance.json; exists.
        config: Tree growing.

    Returns:
        Numbers for the run's metrics: trees, validation NDCG@20, rows and groups.
    """
    judged = validation
    train, validation = train.learnable(), validation.learnable()
    has_positions = bool((train.positions >= 0).any())
    params = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [20],
        "label_gain": list(range(len(feature_set.objectives) + 1)),
        "lambdarank_truncation_level": config.truncation,
        "num_leaves": config.num_leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": min(config.min_rows_in_leaf, max(1, len(train) // 50)),
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
    dataset = _dataset(train, feature_set, with_positions=has_positions)
    # Early stopping ranks by the trees alone, so validation rows carry no positions.
    watched = _dataset(validation, feature_set, reference=dataset)
    history: dict[str, dict[str, list[float]]] = {}
    booster = lgb.train(
        params,
        dataset,
        num_boost_round=config.num_trees,
        valid_sets=[watched],
        valid_names=["validation"],
        callbacks=[
            lgb.early_stopping(config.patience, verbose=False),
            lgb.record_evaluation(history),
            _report_progress(every=50),
        ],
    )
    with atomic_write(out_dir / "model.txt") as path:
        path.write_text(booster.model_to_string(num_iteration=booster.best_iteration), encoding="utf-8")
    raw = booster.predict(judged.features, num_iteration=booster.best_iteration, num_threads=config.num_threads)
    write_json(out_dir / "calibration.json", calibrate(np.asarray(raw), judged, feature_set.objectives))
    gains = booster.feature_importance("gain", iteration=booster.best_iteration)
    order = np.argsort(-gains)
    write_json(out_dir / "importance.json", {feature_set.ranker_features[i]: float(gains[i]) for i in order})
    best = history["validation"]["ndcg@20"][booster.best_iteration - 1]
    say(f"ranker: {booster.best_iteration} trees, NDCG@20 of the validation groups {best:.4f}")
    return {
        "trees": float(booster.best_iteration),
        "validation_group_ndcg@20": float(best),
        "train_rows": float(len(train)),
        "train_groups": float(len(train.group_sizes)),
        "validation_rows": float(len(validation)),
    }


def calibrate(
    raw: npt.NDArray[np.float64], rows: RankingRows, objectives: tuple[str, ...], *, num_knots: int = 200
) -> dict[str, dict[str, list[float]]]:
    """Monotone maps from the ranker's score to the probability of each objective.

    Isotonic regression (Zadrozny and Elkan, KDD 2002) on the shown rows where the log has impressions, else on all
    candidates, thinned to a piecewise linear table.

    Args:
        raw: Ranker scores [n].
        rows: The validation rows they belong to.
        objectives: Names in the order of `rows.labels`.
        num_knots: Most points of a table.

    Returns:
        Objective -> {"x": scores ascending, "y": probabilities}.
    """
    use = rows.shown if rows.shown.any() else np.ones(len(rows), dtype=bool)
    tables: dict[str, dict[str, list[float]]] = {}
    for column, objective in enumerate(objectives):
        labels = rows.labels[use, column]
        model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(raw[use], labels)
        x, y = model.X_thresholds_, model.y_thresholds_
        if len(x) > num_knots:
            picked = np.unique(np.linspace(0, len(x) - 1, num_knots).astype(int))
            x, y = x[picked], y[picked]
        # An isotonic block without a positive says "rare", not "never": log loss must stay finite.
        floor = 0.5 / (len(labels) + 1)
        tables[objective] = {"x": x.tolist(), "y": np.clip(y, floor, 1.0 - floor).tolist()}
    return tables


def _dataset(
    rows: RankingRows, feature_set: FeatureSet, *, with_positions: bool = False, reference: lgb.Dataset | None = None
) -> lgb.Dataset:
    positions = _positions(rows) if with_positions else None
    return lgb.Dataset(
        rows.features,
        label=rows.grades,
        group=rows.group_sizes,
        position=positions,
        feature_name=list(feature_set.ranker_features),
        categorical_feature=list(feature_set.categorical_indices),
        reference=reference,
        params={"verbosity": -1},
        free_raw_data=True,
    )


def _positions(rows: RankingRows) -> npt.NDArray[np.int32]:
    """Positions of all rows; those of rows that were not shown are drawn from the shown ones.

    A bucket of their own would let the position effect explain that rows without an outcome have none, and leave the
    trees nothing to learn (NDCG@20 on the simulated world: 0.187 with it, 0.240 drawn).
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


def load_importance(ranker_dir: Path) -> dict[str, float]:
    """Total gain of each feature, best first."""
    gains: dict[str, float] = json.loads((ranker_dir / "importance.json").read_text(encoding="utf-8"))
    return gains
