"""Trees of several seeds are one model: the sum of theirs."""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from components.ranking.fit import fit_ranker
from components.ranking.rows import RankingRows
from components.ranking.trees.bagging import TreeBag, merged
from components.ranking.trees.boosting import RankerConfig
from components.ranking.trees.refit import judged_rows
from components.ranking.trees.stopping import halve
from inference.scorers.lightgbm import LightGbmRanker
from tests.components.ranking.test_fit import FEATURES, judge_rows, make_rows

CONFIG = RankerConfig(num_trees=12, min_rows_in_leaf=20, patience=12, num_seeds=3, num_threads=1)


def bag() -> TreeBag:
    train, judged = make_rows(80, 0), judge_rows(make_rows(120, 1, with_positions=False))
    return TreeBag.grow(train, judged, halve(judged.user_ids, 0), FEATURES, CONFIG)


def test_the_merged_model_scores_as_the_sum_of_its_members() -> None:
    trees = bag()
    model = lgb.Booster(model_str=trees.text())
    assert model.num_trees() == trees.num_trees
    assert model.feature_name() == list(FEATURES.ranker_features)
    assert len({member.text() for member in trees.members}) == 3
    features = make_rows(30, 5).features
    alone = [lgb.Booster(model_str=member.text()).predict(features) for member in trees.members]
    np.testing.assert_allclose(np.asarray(model.predict(features)), np.sum(alone, axis=0), rtol=1e-9)
    np.testing.assert_allclose(trees.scores(features), np.sum(alone, axis=0), rtol=1e-12)
    # LightGBM writes the same model again, so lengths and numbers of the trees are right.
    again = lgb.Booster(model_str=model.model_to_string())
    np.testing.assert_array_equal(np.asarray(again.predict(features)), np.asarray(model.predict(features)))


def test_a_single_model_is_not_rewritten() -> None:
    text = bag().members[0].text()
    assert merged([text]) is text


def test_the_ranker_of_a_release_holds_the_trees_of_all_seeds(tmp_path: Path) -> None:
    train, validation = make_rows(80, 0, with_positions=False), make_rows(40, 1, with_positions=False)
    judged = judge_rows(make_rows(120, 2, with_positions=False))
    numbers = fit_ranker(train, validation, judged, FEATURES, tmp_path, CONFIG)
    ranker = LightGbmRanker.load(tmp_path)
    assert lgb.Booster(model_file=str(tmp_path / "model.txt")).num_trees() == numbers["trees"] > 3
    grown = TreeBag.grow(train.learnable(), judged, halve(judged.user_ids, CONFIG.seed), FEATURES, CONFIG)
    assert judged.ndcg(grown.scores(judged.features)).mean() == pytest.approx(numbers["validation_ndcg@20"], abs=1e-6)
    rows = RankingRows.concatenate([train.learnable(), judged_rows(judged, len(FEATURES.objectives), CONFIG.seed)])
    scores, _ = ranker.score(judged.features)
    np.testing.assert_allclose(scores, grown.regrown(rows, FEATURES).scores(judged.features), rtol=1e-5)
