"""Grows the trees of LightGBM's LambdaMART on ranking rows, as many as are best for the judged queries.

Reference: Burges, "From RankNet to LambdaRank to LambdaMART", MSR-TR-2010-82. Positions are not a feature. If the log
has them, LightGBM's unbiased lambdarank estimates and removes their effect (Hu et al., "Unbiased LambdaMART", WWW
2019).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from components.ranking.judging import JudgedQueries
from components.ranking.rows import RankingRows
from components.ranking.trees.stopping import HalfArray, StoppingCurve, Stops
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import FloatArray
from feature_repo.progress import say


class RankerConfig(BaseModel):
    """Parameters of the trees; the defaults suit tens of thousands to a million rows.

    Trees are small: larger trees fit the seed as much as the log (DECISIONS 27).

    Attributes:
        num_seeds: Number of seeds whose trees are summed (`bagging.py`); serving takes longer in proportion.
        study_seconds, study_trials: Time and maximum number of trials of the search for other parameters (`study.py`);
            0 seconds for no search.
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
    num_seeds: int = 1
    study_seconds: float = 0.0
    study_trials: int = 100
    num_threads: int = 2
    seed: int = 0

    @classmethod
    def of(cls, recipe: str, seed: int) -> Self:
        """The defaults for `fast`; a study and three seeds for `best`, whose trees take longer in serving too."""
        if recipe == "best":
            return cls(num_seeds=3, study_seconds=900.0, seed=seed)
        return cls(seed=seed)


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """Trees and how many of them to use.

    Attributes:
        booster: All trees that were grown, also those after the best number.
        stops: Best numbers of trees.
        config: Parameters of the trees.
    """

    booster: lgb.Booster
    stops: Stops
    config: RankerConfig

    def scores(self, features: FloatArray, num_trees: int | None = None) -> npt.NDArray[np.float64]:
        """Scores [n] of rows [n, F] by the first `num_trees` trees, the best number by default."""
        if not len(features):
            return np.zeros(0)
        count = num_trees or self.stops.trees
        raw = self.booster.predict(features, num_iteration=count, num_threads=self.config.num_threads)
        return np.asarray(raw, dtype=np.float64)

    def crosswise(self, judged: JudgedQueries, halves: HalfArray | None) -> npt.NDArray[np.float64]:
        """Score of each judged row [n] by as many trees as are best for the half of the other users.

        Args:
            judged: The queries that the trees were stopped on.
            halves: Half of each query [g]; None if the queries are not split.
        """
        if halves is None:
            return self.scores(judged.features)
        first = np.repeat(halves == 0, np.diff(judged.offsets))
        scores = np.empty(len(first))
        for mine, other in ((first, 1), (~first, 0)):
            scores[mine] = self.scores(judged.features[mine], self.stops.by_half[other])
        return scores

    def text(self) -> str:
        """The best number of trees in LightGBM's text form."""
        return self.booster.model_to_string(num_iteration=self.stops.trees)

    def gains(self) -> npt.NDArray[np.float64]:
        """Gain of each feature over the best number of trees [F]."""
        return np.asarray(self.booster.feature_importance("gain", iteration=self.stops.trees), dtype=np.float64)


def boost(
    train: RankingRows,
    judged: JudgedQueries,
    halves: HalfArray | None,
    feature_set: FeatureSet,
    config: RankerConfig,
    watch: Callable[[lgb.callback.CallbackEnv], None] | None = None,
) -> BoostedTrees:
    """Grows trees on learnable rows until the NDCG of the judged queries rises no more.

    Args:
        train: Learnable rows (`RankingRows.learnable`).
        judged: All candidates of later queries.
        halves: Half of each query [g]; None if the queries are not split.
        feature_set: Names and categorical columns of the features.
        config: Parameters of the trees.
        watch: A LightGBM callback in place of the progress lines.
    """
    dataset = _dataset(train, feature_set, with_positions=bool((train.positions >= 0).any()))
    curve = StoppingCurve(judged, halves)
    booster = lgb.train(
        _parameters(config, len(train), len(feature_set.objectives)),
        dataset,
        num_boost_round=config.num_trees,
        valid_sets=[_watched(judged, dataset)],
        valid_names=["validation"],
        feval=curve,
        callbacks=[lgb.early_stopping(config.patience, verbose=False), watch or _report_progress(every=50)],
    )
    return BoostedTrees(booster, curve.stops(), config)


def regrow(trees: BoostedTrees, rows: RankingRows, feature_set: FeatureSet) -> BoostedTrees:
    """As many trees with the same parameters on other learnable rows."""
    dataset = _dataset(rows, feature_set, with_positions=bool((rows.positions >= 0).any()))
    parameters = _parameters(trees.config, len(rows), len(feature_set.objectives))
    return replace(trees, booster=lgb.train(parameters, dataset, num_boost_round=trees.stops.trees))


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
