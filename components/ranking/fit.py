"""Fits the trees of a run (`trees/`), the order that is served (`order/`) and probabilities (`heads.py`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.ranking.heads import HeadConfig, fit_probabilities
from components.ranking.judging import DEPTH, JudgedQueries
from components.ranking.order.choice import choose_order
from components.ranking.rows import RankingRows
from components.ranking.trees.bagging import TreeBag
from components.ranking.trees.boosting import RankerConfig
from components.ranking.trees.refit import judged_rows
from components.ranking.trees.stopping import HalfArray, halve
from feature_repo.features.feature_set import FeatureSet
from feature_repo.progress import say
from feature_repo.storage.files import atomic_write, write_json
from inference.scorers.lightgbm import MODEL_FILE
from inference.scorers.ranker import IMPORTANCE_FILE

NUM_NAMED = 5  # features that the progress line names


def fit_ranker(
    train: RankingRows,
    validation: RankingRows,
    judged: JudgedQueries,
    feature_set: FeatureSet,
    out_dir: Path,
    config: RankerConfig,
    *,
    served: tuple[RankingRows, RankingRows] | None = None,
    name: str = "ranker",
) -> dict[str, float]:
    """Fits the trees, stopped early by NDCG@20 of `judged`, and a probability per objective; writes the chosen order.

    The comparison with other orders uses trees that were stopped on other users (`trees/stopping.py`). The served trees
    are grown again on the rows of both spans (`trees/refit.py`).

    Args:
        train: Rows of the ranking span.
        validation: Rows of the validation span, later than all rows of `train`, for the probabilities.
        judged: Queries of the validation span with all their candidates, for the number of trees and the choice.
        feature_set: Names and categorical columns of the features.
        out_dir: Existing folder; receives importance.json, the files of the chosen order (model.txt for the trees) and
            those of `fit_probabilities`.
        config: Parameters of the trees.
        served: `train` and `validation` with served features, for the heads; by default the rows as given.
        name: Name of the study among those that share the folder of the checkpoints.

    Returns:
        Metrics of the run: trees, validation NDCG@20, rows and groups, trees of the heads.
    """
    heads_train, heads_validation = served or (train, validation)
    train = train.learnable()
    halves = halve(judged.user_ids, config.seed)
    if halves is None:
        say(f"ranker: {len(judged):,} validation queries are too few to split: they stop the trees and compare them")
    trees = _grown(train, judged, halves, feature_set, config, name)
    ndcg = float(judged.ndcg(trees.scores(judged.features)).mean())
    _report(trees, ndcg, feature_set)
    chosen = choose_order(train, judged, halves, trees.crosswise(judged, halves), feature_set)
    say(f"ranker: {chosen.description.reason}")
    if chosen.by_trees:
        # Scores of the validation rows that calibrate probabilities come from trees that did not learn from them.
        raw = trees.scores(validation.features)
        both = RankingRows.concatenate([train, judged_rows(judged, len(feature_set.objectives), config.seed)])
        trees = trees.regrown(both, feature_set)
        with atomic_write(out_dir / MODEL_FILE) as path:
            path.write_text(trees.text(), encoding="utf-8")
    else:
        raw = chosen.order.scores(validation.features)
    head_config = HeadConfig(num_threads=config.num_threads, seed=config.seed)
    heads = fit_probabilities(heads_train, heads_validation, raw, feature_set, out_dir, head_config)
    chosen.save(out_dir)
    write_json(out_dir / IMPORTANCE_FILE, _importance(trees, feature_set))
    return {
        "trees": float(trees.num_trees),
        "validation_ndcg@20": ndcg,
        "train_rows": float(len(train)),
        "train_groups": float(len(train.group_sizes)),
        "validation_rows": float(len(validation)),
        **{f"trees_{objective}": float(count) for objective, count in heads.items()},
    }


def _grown(
    train: RankingRows,
    judged: JudgedQueries,
    halves: HalfArray | None,
    feature_set: FeatureSet,
    config: RankerConfig,
    name: str,
) -> TreeBag:
    """The trees of all seeds, with the parameters of a study if the recipe has one."""
    if config.study_seconds:
        # Only the recipe `best` loads Optuna.
        from components.ranking.trees.journal import StudyJournal
        from components.ranking.trees.study import search

        config = search(train, judged, halves, feature_set, config, StudyJournal.of(name))
    return TreeBag.grow(train, judged, halves, feature_set, config)


def _report(trees: TreeBag, ndcg: float, feature_set: FeatureSet) -> None:
    """Prints how many trees there are, how well they order the judged queries, and what they read most."""
    most = ", ".join(list(_importance(trees, feature_set))[:NUM_NAMED])
    say(f"ranker: {trees.num_trees} trees, NDCG@{DEPTH} of the validation queries {ndcg:.4f}; most gain from {most}")


def _importance(trees: TreeBag, feature_set: FeatureSet) -> dict[str, float]:
    """Gain of each feature over the trees, the greatest first."""
    gains = trees.gains()
    return {feature_set.ranker_features[place]: float(gains[place]) for place in np.argsort(-gains)}
