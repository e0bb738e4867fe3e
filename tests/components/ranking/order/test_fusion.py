"""The fit of the fusion on rows whose best weights are known."""

from __future__ import annotations

import numpy as np
import pytest

from components.ranking.order.fusion import FusionConfig, equal, fit_fusion, rank_columns, single
from components.ranking.rows import RankingRows
from inference.models.fusion import FUSED
from inference.scorers.order import Order
from tests.kit import world

WORLD = world.feature_set()
FEATURES = WORLD.model_copy(update={"cross_numeric": (*WORLD.cross_numeric, "history_length")})
NAMES = FEATURES.ranker_features
SOURCES = FEATURES.sources
SIZE = 30  # rows of a group


def make_rows(
    num_groups: int,
    seed: int,
    *,
    good: tuple[str, str] = ("own", "own"),
    strength: float = 3.0,
    together: bool = False,
) -> RankingRows:
    """Groups in which a good rank by a source makes an item relevant.

    The source is the first of `good` for users without a history, the second for the others; `together` adds the
    reciprocal ranks of both for all users.
    """
    rng = np.random.default_rng(seed)
    features = np.zeros((num_groups, SIZE, len(NAMES)), dtype=np.float32)
    ranks = np.stack([rng.permuted(np.tile(np.arange(SIZE), (num_groups, 1)), axis=1) for _ in SOURCES], axis=2)
    features[:, :, [NAMES.index(f"rank_{source}") for source in SOURCES]] = ranks
    lengths = np.where(np.arange(num_groups) % 2, 30, 0)
    features[:, :, NAMES.index("history_length")] = lengths[:, None]
    by = np.array([SOURCES.index(source) for source in good])[(lengths > 0).astype(int)]
    decisive = ranks[np.arange(num_groups), :, by]
    both = 1 / (1 + ranks[:, :, [SOURCES.index(source) for source in good]])
    signal = both.sum(axis=2) if together else 1 / (1 + decisive)
    chance = rng.gumbel(size=(num_groups, SIZE)) + strength * np.log(signal)
    relevant = chance >= np.sort(chance, axis=1)[:, -2:-1]
    n = num_groups * SIZE
    return RankingRows(
        features=features.reshape(n, -1),
        grades=relevant.reshape(n).astype(np.int8),
        labels=relevant.reshape(n, 1).astype(np.int8),
        brought=np.ones(n, dtype=bool),
        shown=np.zeros(n, dtype=bool),
        positions=np.full(n, -1, dtype=np.int32),
        outcomes=np.arange(n),
        group_sizes=np.full(num_groups, SIZE, dtype=np.int64),
    )


def share(weights: dict[str, tuple[float, ...]], source: str) -> float:
    """Share of a source in the score of an item that every source places first."""
    total = {
        name: sum(w / (k + 1) for w, k in zip(row, (1.0, 10.0, 60.0), strict=True)) for name, row in weights.items()
    }
    return total[source] / sum(total.values())


def test_the_source_that_decides_gets_the_weight() -> None:
    fusion = fit_fusion(make_rows(600, 0), FEATURES)
    assert fusion.order == FUSED
    for segment in fusion.segments:
        assert share(segment.weights, "own") > 0.9
        assert min(min(row) for row in segment.weights.values()) > 0


def test_every_segment_gets_weights_of_its_own() -> None:
    first, second = fit_fusion(make_rows(2_000, 1, good=("popular", "own")), FEATURES).segments
    assert (first.shortest, second.shortest) == (0, 1)
    assert share(first.weights, "popular") > share(first.weights, "own") + 0.3
    assert share(second.weights, "own") > share(second.weights, "popular") + 0.3


@pytest.mark.parametrize(("num_groups", "starts"), [(390, [0]), (400, [0, 1])])
def test_a_segment_with_too_few_groups_joins_another(num_groups: int, starts: list[int]) -> None:
    fusion = fit_fusion(make_rows(num_groups, 2), FEATURES)
    assert [segment.shortest for segment in fusion.segments] == starts


def test_features_without_the_length_of_the_history_have_one_segment() -> None:
    rows = make_rows(600, 3)
    kept = np.delete(rows.features, NAMES.index("history_length"), axis=1)
    fusion = fit_fusion(
        RankingRows(
            kept, rows.grades, rows.labels, rows.brought, rows.shown, rows.positions, rows.outcomes, rows.group_sizes
        ),
        WORLD,
    )
    assert len(fusion.segments) == 1


def test_the_fit_is_that_of_a_sample_and_the_same_each_time() -> None:
    rows = make_rows(600, 4)
    assert fit_fusion(rows, FEATURES) == fit_fusion(rows, FEATURES)
    sampled = fit_fusion(rows, FEATURES, FusionConfig(most_groups=300))
    assert sampled != fit_fusion(rows, FEATURES)
    assert share(sampled.segments[0].weights, "own") > 0.9


def test_single_and_equal_weights_are_the_order_of_a_source_and_of_plain_fusion() -> None:
    rows = make_rows(3, 5)
    fitted = fit_fusion(rows, FEATURES)
    alone = fitted.segments[0].model_copy(update={"weights": single("popular", SOURCES, fitted.constants)})
    plain = fitted.segments[0].model_copy(update={"weights": equal(SOURCES, fitted.constants)})
    ranks = rank_columns(rows.features, FEATURES)
    for segment, expected in (
        (alone, -ranks[:, SOURCES.index("popular")]),
        (plain, (1 / (61 + ranks)).sum(axis=1)),
    ):
        scores = Order.of(fitted.model_copy(update={"segments": (segment,)}), FEATURES).scores(rows.features)
        for group in range(3):
            span = slice(group * SIZE, (group + 1) * SIZE)
            assert (
                np.argsort(-scores[span], kind="stable").tolist() == np.argsort(-expected[span], kind="stable").tolist()
            )
