"""Probabilities: of what was shown, not of what was retrieved, and such that can be trusted."""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ranking.heads import HeadConfig, calibrate, fit_probabilities
from components.ranking.rows import RankingRows
from feature_repo.errors import BundleError
from inference.scorers.lightgbm import LightGbmRanker
from inference.scorers.probabilities import head_file
from tests.kit import world

FEATURES = world.feature_set()
NAMES = FEATURES.ranker_features
TASTE, OTHER = NAMES.index("own_count"), NAMES.index("item_log_price")
CONFIG = HeadConfig(min_rows_in_leaf=20, num_threads=1)
Float64 = npt.NDArray[np.float64]


def chance(features: npt.NDArray[np.float32]) -> Float64:
    """Truth: probability of a click once shown."""
    return np.asarray(1 / (1 + np.exp(1.5 - 1.5 * features[:, TASTE])), dtype=np.float64)


def make_rows(n: int, seed: int, *, shown_share: float = 0.3) -> RankingRows:
    """Candidates of which some were shown; what was not shown was not clicked, and what is dear is shown more."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, len(NAMES))).astype(np.float32)
    features[:, list(FEATURES.categorical_indices)] = 1
    shown = rng.random(n) < np.clip(shown_share * (1 + np.tanh(features[:, OTHER])), 0, 1)
    click = shown & (rng.random(n) < chance(features))
    convert = click & (rng.random(n) < 0.02)
    return RankingRows(
        features=features,
        grades=(click.astype(np.int8) + convert).astype(np.int8),
        labels=np.stack([click, convert], axis=1).astype(np.int8),
        brought=np.ones(n, dtype=bool),
        shown=shown,
        positions=np.full(n, -1, dtype=np.int32),
        outcomes=np.arange(n),
        group_sizes=np.array([n], dtype=np.int64),
    )


def fit(folder: Path, train: RankingRows, validation: RankingRows) -> tuple[dict[str, int], LightGbmRanker]:
    """Heads beside a ranker that orders by `OTHER`, on which no click depends."""
    scores = validation.features[:, OTHER].astype(np.float64)
    trees = fit_probabilities(train, validation, scores, FEATURES, folder, CONFIG)
    ranker = lgb.train(
        {"objective": "regression", "verbosity": -1, "num_threads": 1},
        lgb.Dataset(train.features, train.features[:, OTHER].copy(), feature_name=list(NAMES)),
        num_boost_round=20,
    )
    (folder / "model.txt").write_text(ranker.model_to_string())
    return trees, LightGbmRanker.load(folder)


def test_a_head_knows_how_likely_a_click_is_once_shown(tmp_path: Path) -> None:
    train, validation = make_rows(20_000, 0), make_rows(8_000, 1)
    trees, model = fit(tmp_path, train, validation)
    assert list(trees) == ["click"], "few conversions: no trees of their own"
    assert trees["click"] > 5
    fresh = make_rows(4_000, 2)
    _, probabilities = model.score(fresh.features)
    truth = chance(fresh.features)
    assert abs(probabilities["click"] - truth).mean() < 0.06
    assert np.corrcoef(probabilities["click"], truth)[0, 1] > 0.95
    assert ((probabilities["convert"] > 0) & (probabilities["convert"] < 0.2)).all()


def test_without_impressions_probabilities_rise_with_the_score(tmp_path: Path) -> None:
    train, validation = make_rows(4_000, 0), make_rows(2_000, 1)
    nothing = {"shown": np.zeros(4_000, dtype=bool)}, {"shown": np.zeros(2_000, dtype=bool)}
    train, validation = (
        RankingRows(**{**{name: getattr(rows, name) for name in RankingRows.__slots__}, **changed})
        for rows, changed in zip((train, validation), nothing, strict=True)
    )
    trees, model = fit(tmp_path, train, validation)
    assert trees == {}
    score, probabilities = model.score(make_rows(1_000, 2).features)
    order = np.argsort(score, kind="stable")
    for values in probabilities.values():
        assert ((values > 0) & (values < 1)).all()
        assert (np.diff(values[order]) >= 0).all()
    rate = validation.labels[:, 0].mean()
    assert abs(probabilities["click"].mean() - rate) < 0.02, "the rate among all candidates"


def test_a_head_of_other_features_is_refused(tmp_path: Path) -> None:
    validation = make_rows(4_000, 1)
    fit(tmp_path, make_rows(8_000, 0), validation)
    narrow = lgb.train(
        {"objective": "binary", "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 1},
        lgb.Dataset(np.arange(40.0).reshape(20, 2), np.arange(20) % 2),
        num_boost_round=1,
    )
    (tmp_path / head_file("click")).write_text(narrow.model_to_string())
    with pytest.raises(BundleError, match=r"head of click .* other features"):
        LightGbmRanker.load(tmp_path)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=1, max_size=60), st.integers(2, 8))
def test_calibration_is_an_ascending_table_of_probabilities(rows: list[tuple[float, bool]], num_knots: int) -> None:
    raw = np.array([score for score, _ in rows])
    labels = np.array([label for _, label in rows], dtype=np.int8)
    table = calibrate(raw, labels, num_knots=num_knots)
    x, y = np.array(table["x"]), np.array(table["y"])
    assert 1 <= len(x) == len(y) <= num_knots
    assert (np.diff(x) >= 0).all()
    assert (np.diff(y) >= 0).all()
    assert ((y > 0) & (y < 1)).all()


def test_calibrated_probabilities_are_the_rates() -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(size=20_000)
    truth = 1 / (1 + np.exp(1 - raw))
    table = calibrate(raw, (rng.random(20_000) < truth).astype(np.int8))
    found = np.interp(raw, table["x"], table["y"])
    assert abs(found - truth)[abs(raw) < 2].mean() < 0.03
