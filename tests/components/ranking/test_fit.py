"""The ranker: what it learns from rows whose truth is known, and probabilities that can be trusted."""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from components.ranking.fit import fit_ranker
from components.ranking.judging import JudgedQueries
from components.ranking.rows import RankingRows
from components.ranking.trees.boosting import RankerConfig, boost
from feature_repo.storage.files import read_json
from inference.scorers.lightgbm import LightGbmRanker
from tests.kit import world

FEATURES = world.feature_set()
NAMES = FEATURES.ranker_features
GOOD = NAMES.index("own_count")
CONFIG = RankerConfig(num_trees=60, min_rows_in_leaf=20, patience=15, num_threads=1)
SIZE = 20  # rows a group


def make_rows(num_groups: int, seed: int, *, with_positions: bool = True) -> RankingRows:
    """Groups in which `own_count` makes a positive likely; what stood above was looked at more."""
    rng = np.random.default_rng(seed)
    n = num_groups * SIZE
    features = rng.normal(size=(n, len(NAMES))).astype(np.float32)
    features[:, list(FEATURES.categorical_indices)] = rng.integers(0, 3, (n, len(FEATURES.categorical_indices)))
    position = np.tile(np.arange(SIZE), num_groups)
    seen = rng.random(n) < (1.0 / (1.0 + 0.3 * position) if with_positions else 1.0)
    click = seen & (rng.random(n) < 1 / (1 + np.exp(2.5 - 2 * features[:, GOOD])))
    convert = click & (rng.random(n) < 0.4)
    return RankingRows(
        features=features,
        grades=(click.astype(np.int8) + convert).astype(np.int8),
        labels=np.stack([click, convert], axis=1).astype(np.int8),
        brought=np.ones(n, dtype=bool),
        shown=np.full(n, with_positions),
        positions=(position if with_positions else np.full(n, -1)).astype(np.int32),
        outcomes=np.arange(n),
        group_sizes=np.full(num_groups, SIZE, dtype=np.int64),
    )


def judge_rows(rows: RankingRows) -> JudgedQueries:
    """The groups of rows as queries whose candidates they are."""
    relevant = rows.grades > 0
    return JudgedQueries(
        features=rows.features,
        relevant=relevant,
        offsets=np.concatenate(([0], np.cumsum(rows.group_sizes))),
        num_relevant=np.maximum(np.bincount(rows.group_index[relevant], minlength=len(rows.group_sizes)), 1),
        user_ids=np.arange(len(rows.group_sizes)).astype(object),
    )


@pytest.fixture(scope="module", params=[True, False], ids=["positions", "no positions"])
def fitted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    out = tmp_path_factory.mktemp("ranker")
    train, validation = (make_rows(groups, seed, with_positions=request.param) for groups, seed in ((200, 0), (100, 1)))
    return out, fit_ranker(train, validation, judge_rows(validation), FEATURES, out, CONFIG)


def test_the_trees_find_what_matters(fitted: tuple[Path, dict[str, float]]) -> None:
    out, numbers = fitted
    gains = read_json(out / "importance.json")
    assert next(iter(gains)) == "own_count"
    assert set(gains) == set(NAMES)
    assert 0 < numbers["validation_ndcg@20"] <= 1
    fresh = make_rows(100, 2, with_positions=False)
    score, _ = LightGbmRanker.load(out).score(fresh.features)
    order = np.lexsort((-score, fresh.group_index)).reshape(100, SIZE)
    grades = fresh.grades[order]
    assert grades[:, :5].mean() > 3 * grades[:, -5:].mean()


def test_a_position_is_no_feature(fitted: tuple[Path, dict[str, float]]) -> None:
    booster = lgb.Booster(model_str=(fitted[0] / "model.txt").read_text())
    assert booster.feature_name() == list(NAMES)
    assert not [name for name in NAMES if "position" in name]


def test_the_loaded_model_scores_as_the_booster(fitted: tuple[Path, dict[str, float]]) -> None:
    out, numbers = fitted
    features = make_rows(30, 3).features
    booster = lgb.Booster(model_str=(out / "model.txt").read_text())
    score, probabilities = LightGbmRanker.load(out).score(features)
    np.testing.assert_array_equal(score, np.asarray(booster.predict(features), dtype=np.float32))
    assert booster.num_trees() == numbers["trees"]
    assert tuple(probabilities) == FEATURES.objectives


def test_the_same_seed_grows_the_same_trees(tmp_path: Path) -> None:
    texts = []
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        config = CONFIG.model_copy(update={"seed": seed})
        later = make_rows(40, 1)
        fit_ranker(make_rows(60, 0), later, judge_rows(later), FEATURES, tmp_path / name, config)
        # What follows the trees lists the parameters, the seed among them.
        texts.append((tmp_path / name / "model.txt").read_text().split("end of trees")[0])
    assert texts[0] == texts[1] != texts[2]


def test_the_judged_queries_choose_the_number_of_trees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No fewer trees order the judged queries better; the validation rows have no part in it."""
    train, validation = make_rows(200, 0, with_positions=False), make_rows(20, 1)
    judged = judge_rows(make_rows(99, 2, with_positions=False))
    numbers = fit_ranker(train, validation, judged, FEATURES, tmp_path, CONFIG)
    assert "99 validation queries are too few to split" in capsys.readouterr().err
    trees = boost(train.learnable(), judged, None, FEATURES, CONFIG)
    curve = [judged.ndcg(trees.scores(judged.features, count)).mean() for count in range(1, trees.stops.trees + 1)]
    assert len(curve) == numbers["trees"]
    assert numbers["validation_ndcg@20"] == pytest.approx(curve[-1], abs=1e-6)
    assert max(curve) <= curve[-1] + 1e-6
