"""The served trees learn from the judged queries too; their number is chosen before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np

from components.ranking.build import RowSampling
from components.ranking.fit import fit_ranker
from components.ranking.judging import JudgedQueries
from components.ranking.trees.refit import judged_rows
from tests.components.ranking.test_fit import CONFIG, FEATURES, GOOD, NAMES, judge_rows, make_rows

NEW = NAMES.index("own_negatives")  # no training row is liked for it


def judge_both(seed: int) -> JudgedQueries:
    """Queries whose five candidates with the highest sum of the known and the new column are relevant."""
    rows = make_rows(120, seed, with_positions=False)
    sums = (rows.features[:, GOOD] + rows.features[:, NEW]).reshape(120, -1)
    relevant = sums >= np.sort(sums, axis=1)[:, -5:-4]
    return replace(judge_rows(rows), relevant=relevant.ravel(), num_relevant=np.full(120, 5, dtype=np.int64))


def test_rows_hold_the_relevant_candidates_and_an_even_sample_of_the_others() -> None:
    width = RowSampling().negatives + 60
    judged = JudgedQueries(
        features=np.arange(2 * width, dtype=np.float32)[:, None],
        relevant=np.arange(2 * width) % width < 3,
        offsets=np.array([0, width, width, 2 * width]),  # the second query has no candidates
        num_relevant=np.array([3, 1, 3]),
        user_ids=np.array(["a", "b", "c"], dtype=object),
    )
    rows = judged_rows(judged, 2, seed=0)
    assert rows.group_sizes.tolist() == [RowSampling().negatives + 3] * 2
    taken = rows.features[:, 0].astype(int)
    assert set(taken) >= {0, 1, 2, width, width + 1, width + 2}
    np.testing.assert_array_equal(rows.grades > 0, taken % width < 3)
    assert len(rows.learnable()) == len(rows)
    assert (judged_rows(judged, 2, seed=1).features != rows.features).any()
    assert (rows.positions < 0).all()


def test_the_served_trees_know_what_only_the_judged_queries_show(tmp_path: Path) -> None:
    numbers = fit_ranker(
        make_rows(120, 0, with_positions=False), make_rows(20, 2), judge_both(1), FEATURES, tmp_path, CONFIG
    )
    booster = lgb.Booster(model_str=(tmp_path / "model.txt").read_text())
    assert booster.num_trees() == numbers["trees"]
    asked = judge_both(3)
    assert asked.ndcg(np.asarray(booster.predict(asked.features))).mean() > numbers["validation_ndcg@20"] + 0.05
