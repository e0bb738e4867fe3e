"""The choice between the trees, the fusion and single sources."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from components.ranking.judging import JudgedQueries
from components.ranking.order.choice import choose_fusion, choose_order, paired
from components.ranking.order.fusion import fit_fusion
from components.ranking.rows import RankingRows
from inference.models.fusion import FUSED, Fusion
from inference.scorers.order import ORDER_FILE, Order
from inference.scorers.ranker import read_description
from tests.components.ranking.order.test_fusion import FEATURES, NAMES, make_rows


def judged_of(rows: RankingRows) -> JudgedQueries:
    """The rows as validation queries of different users."""
    relevant = rows.grades > 0
    return JudgedQueries(
        features=rows.features,
        relevant=relevant,
        offsets=np.concatenate(([0], np.cumsum(rows.group_sizes))).astype(np.int64),
        num_relevant=np.bincount(rows.group_index[relevant], minlength=len(rows.group_sizes)),
        user_ids=np.array([f"u{number}" for number in range(len(rows.group_sizes))], dtype=object),
    )


def reciprocal(judged: JudgedQueries, source: str) -> np.ndarray:
    return 1 / (1 + judged.features[:, NAMES.index(f"rank_{source}")])


def test_a_fit_that_holds_on_validation_is_kept() -> None:
    fitted = fit_fusion(make_rows(600, 0, good=("own", "popular"), together=True), FEATURES)
    judged = judged_of(make_rows(300, 1, good=("own", "popular"), together=True))
    assert choose_fusion(fitted, judged, FEATURES) == fitted


def test_a_source_that_is_better_in_a_segment_decides_there() -> None:
    """Users with a history follow another source on validation than in the rows that were fitted."""
    fitted = fit_fusion(make_rows(600, 0, good=("own", "own")), FEATURES)
    judged = judged_of(make_rows(600, 1, good=("own", "popular")))
    chosen = choose_fusion(fitted, judged, FEATURES)
    assert chosen.segments[0].order in {FUSED, "own"}
    assert (chosen.segments[1].shortest, chosen.segments[1].order) == (1, "popular")
    assert chosen.order == FUSED


@pytest.mark.parametrize("seed", range(6))
def test_no_source_is_better_by_more_than_noise_even_if_nothing_can_be_learned(seed: int) -> None:
    fitted = fit_fusion(make_rows(40, seed, strength=0.0), FEATURES)
    judged = judged_of(make_rows(120, seed + 100, good=("covisitation", "popular"), strength=0.5))
    chosen = judged.ndcg(Order.of(choose_fusion(fitted, judged, FEATURES), FEATURES).scores(judged.features))
    for source in FEATURES.sources:
        lead, error = paired(judged.ndcg(reciprocal(judged, source)) - chosen, judged.user_ids)
        assert lead <= error


def test_trees_that_are_better_are_served_and_the_fusion_orders_without_them(tmp_path: Path) -> None:
    judged = judged_of(make_rows(200, 1))
    chosen = choose_order(make_rows(400, 0), judged, None, judged.relevant.astype(np.float64), FEATURES)
    assert chosen.by_trees
    chosen.save(tmp_path)
    assert (read_description(tmp_path).kind, read_description(tmp_path).order) == ("lightgbm", "ranker")
    assert not (tmp_path / ORDER_FILE).exists()
    assert Fusion.load(tmp_path) == chosen.fusion
    assert "ranker 1.0000" in chosen.description.reason


def test_a_source_that_is_not_asked_is_no_order() -> None:
    rows = make_rows(200, 1)
    rows.features[:, NAMES.index("rank_covisitation")] = np.nan
    judged = judged_of(rows)
    reason = choose_order(
        make_rows(400, 0), judged, None, judged.relevant.astype(np.float64), FEATURES
    ).description.reason
    assert "popular " in reason
    assert "covisitation" not in reason


def test_trees_that_are_worse_are_not_served(tmp_path: Path) -> None:
    judged = judged_of(make_rows(200, 1))
    trees = np.random.default_rng(0).random(len(judged.relevant))
    chosen = choose_order(make_rows(400, 0), judged, None, trees, FEATURES)
    assert not chosen.by_trees
    chosen.save(tmp_path)
    description = read_description(tmp_path)
    assert (description.kind, description.order) == ("order", chosen.fusion.order)
    assert description.reason.startswith("NDCG@20 of 200 validation queries by order: ")
    assert Order.model_validate_json((tmp_path / ORDER_FILE).read_text()) == chosen.order


def test_the_fusion_is_compared_on_other_queries_than_those_that_choose_it() -> None:
    """Source `own` orders one half alone and `popular` the other: each half chooses what fails on the other half."""
    parts = [judged_of(make_rows(150, 1, good=(name, name), strength=5.0)) for name in ("own", "popular")]
    judged = JudgedQueries(
        features=np.concatenate([part.features for part in parts]),
        relevant=np.concatenate([part.relevant for part in parts]),
        offsets=np.concatenate((parts[0].offsets, parts[0].offsets[-1] + parts[1].offsets[1:])),
        num_relevant=np.concatenate([part.num_relevant for part in parts]),
        user_ids=np.array([f"u{number}" for number in range(300)], dtype=object),
    )
    halves = np.repeat(np.arange(2), 150).astype(np.int8)
    trees = (reciprocal(judged, "own") + reciprocal(judged, "popular")) / 2
    train = make_rows(400, 0, good=("own", "popular"))
    chosen = choose_order(train, judged, halves, trees, FEATURES)
    assert chosen.by_trees
    figures = dict(re.findall(r"(\w+) (0\.\d{4})", chosen.description.reason))
    together = choose_order(train, judged, None, trees, FEATURES).description.reason
    assert float(figures["fusion"]) < float(dict(re.findall(r"(\w+) (0\.\d{4})", together))["fusion"])


def test_a_fusion_that_is_not_shown_to_be_above_popular_is_replaced_by_it() -> None:
    """The gate would refuse the fusion, and releases the popular order."""
    judged = judged_of(make_rows(200, 1, good=("popular", "popular")))
    trees = np.random.default_rng(0).random(len(judged.relevant))
    chosen = choose_order(make_rows(400, 0, good=("popular", "popular")), judged, None, trees, FEATURES)
    assert chosen.description.order == chosen.fusion.order == "popular"
    np.testing.assert_array_equal(
        judged.ndcg(chosen.order.scores(judged.features)), judged.ndcg(reciprocal(judged, "popular"))
    )


def test_the_standard_error_counts_users() -> None:
    values = np.random.default_rng(0).normal(size=300)
    users = np.array([f"u{number}" for number in range(300)], dtype=object)
    mean, error = paired(values, users)
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(300))
    # Three equal queries of each user hold no more evidence than one.
    assert paired(np.repeat(values, 3), np.repeat(users, 3)) == pytest.approx((mean, error))
    assert paired(values, np.full(300, "u1", dtype=object))[1] == np.inf
    assert paired(values[:0], users[:0]) == (0.0, np.inf)
