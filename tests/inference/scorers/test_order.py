"""The ranker without trees orders by the fusion, and returns calibrated probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import BundleError, PredictorError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.storage.files import write_json
from inference.models.fusion import FUSED, Fusion, FusionSegment
from inference.scorers.local import LocalScorer
from inference.scorers.order import ORDER_FILE, Order, OrderRanker
from inference.scorers.probabilities import CALIBRATION_FILE
from inference.scorers.ranker import RankerDescription, open_ranker, write_description
from tests.kit import world

FEATURES = world.feature_set()
SOURCES = FEATURES.sources
NAMES = FEATURES.ranker_features
LONGER = FEATURES.model_copy(update={"cross_numeric": (*FEATURES.cross_numeric, "history_length")})


def fusion_of(*orders: tuple[int, str]) -> Fusion:
    segments = [
        FusionSegment(
            shortest=shortest, order=name, weights={source: (1.0 if source == name else 1e-6,) for source in SOURCES}
        )
        for shortest, name in orders
    ]
    return Fusion(constants=(60.0,), segments=tuple(segments))


def write(folder: Path, fusion: Fusion, features: FeatureSet = FEATURES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Order.of(fusion, features).save(folder)
    write_json(folder / CALIBRATION_FILE, {"click": {"x": [0.0, 0.02], "y": [0.0, 0.4]}})
    write_description(folder, RankerDescription(kind="order", order=fusion.order))
    return folder


@pytest.mark.parametrize("source", SOURCES)
def test_one_source_orders_and_the_items_of_the_others_follow(tmp_path: Path, source: str) -> None:
    ranker = open_ranker(write(tmp_path, fusion_of((0, source))))
    found = world.recommender(world.artifacts()).candidates([world.query("u3")])
    assert found.features is not None
    score, probabilities = ranker.score(found.features)
    np.testing.assert_array_equal(ranker.order(found.features), score)
    rank = found.features[:, NAMES.index(f"rank_{source}")]
    order = np.argsort(-score, kind="stable")
    known = ~np.isnan(rank[order])
    assert known.any()
    assert not known[known.sum() :].any()
    assert (np.diff(rank[order][known]) > 0).all()
    np.testing.assert_allclose(probabilities["click"], np.minimum(score / 0.02, 1) * 0.4, rtol=1e-4)


def test_the_segment_is_that_of_the_user_in_the_row(tmp_path: Path) -> None:
    ranker = OrderRanker.load(write(tmp_path, fusion_of((0, "popular"), (5, "own")), LONGER))
    names = LONGER.ranker_features
    rows = np.full((2, len(names)), np.nan, dtype=np.float32)
    rows[:, names.index("rank_popular")] = [0, 9]
    rows[:, names.index("rank_own")] = [9, 0]
    for length, best in ((4, 0), (5, 1)):
        rows[:, names.index("history_length")] = length
        assert np.argmax(ranker.score(rows)[0]) == best
    assert ranker.objectives == ("click",)
    assert ranker.num_features == len(names)


def test_features_without_the_length_of_the_history_use_the_first_segment() -> None:
    fusion = fusion_of((0, "popular"), (5, "own"))
    rows = np.zeros((1, len(NAMES)), dtype=np.float32)
    rows[:, NAMES.index("rank_own")] = 3
    assert Order.of(fusion, FEATURES).scores(rows) == pytest.approx(1 / 61, rel=1e-4)


def test_the_recommender_serves_its_order(tmp_path: Path) -> None:
    ranker = open_ranker(write(tmp_path, fusion_of((0, "popular"))))
    made = world.artifacts()
    served = world.recommender(made, LocalScorer(ranker)).ranked([world.query("u3")])
    ranks = served.source_ranks[:, SOURCES.index("popular")]
    known = ranks[~np.isnan(ranks)]
    assert (np.diff(known) > 0).all()
    assert not np.isnan(ranks[: len(known)]).any()


def test_damage_and_other_features_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, fusion_of((0, FUSED)))
    with pytest.raises(PredictorError, match=f"takes rows of {len(NAMES)} features and received shape"):
        OrderRanker.load(folder).score(np.zeros((3, 2), dtype=np.float32))
    assert len(OrderRanker.load(folder).score(np.zeros((0, len(NAMES)), dtype=np.float32))[0]) == 0
    (folder / ORDER_FILE).write_text("{}")
    with pytest.raises(BundleError, match="cannot be read"):
        open_ranker(folder)
    (folder / ORDER_FILE).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        open_ranker(folder)
