"""Fits the weights of the learned retrieval order (`inference/models/fusion.py`) to ranking rows.

The fit is listwise: softmax cross-entropy over the candidates of a group, averaged over its relevant candidates (Cao et
al., "Learning to Rank: From Pairwise Approach to Listwise Approach", ICML 2007). It is convex in the weights, which are
at least 0. Ranks count among all candidates of serving, so a sample of the candidates suffices. The weights of a
segment are drawn to those of all users, the more so the fewer groups the segment has.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize

from components.ranking.rows import RankingRows
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.cross.history_length import HISTORY_LENGTH_COLUMN
from feature_repo.features.state import FloatArray
from inference.models.fusion import FUSED, Fusion, FusionSegment

MINUTE = 1e-6  # weight of a source that does not decide the order, relative to the sum of all weights
FloatArray64 = npt.NDArray[np.float64]


class FusionConfig(BaseModel):
    """Parameters of the fit.

    Attributes:
        constants: Constants of the reciprocal ranks.
        edges: Shortest history of each segment before segments are merged, ascending from 0.
        fewest_groups: Number of groups below which a segment joins the next one.
        most_groups: Number of groups that the fit reads; there are only a dozen weights.
        l2: Penalty of the weights of all users.
        prior: Penalty of a segment's distance from the weights of all users, summed over its groups.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    constants: tuple[float, ...] = (1.0, 10.0, 60.0)
    edges: tuple[int, ...] = (0, 1, 5, 20)
    fewest_groups: int = 200
    most_groups: int = 5_000
    l2: float = 1e-3
    prior: float = 5.0


def fit_fusion(rows: RankingRows, feature_set: FeatureSet, config: FusionConfig | None = None) -> Fusion:
    """Fits one set of weights to all users and one to each segment.

    Args:
        rows: Learnable rows (`RankingRows.learnable`), in order of time.
        feature_set: Names the rank columns and, if it has one, the column of the history's length.
        config: Parameters of the fit.
    """
    config = config or FusionConfig()
    if len(rows.group_sizes) > config.most_groups:
        chosen = np.zeros(len(rows.group_sizes), dtype=np.bool_)
        chosen[np.linspace(0, len(chosen) - 1, config.most_groups).astype(int)] = True
        rows = rows.keep(chosen[rows.group_index])
    sources = feature_set.sources
    inputs = _inputs(rank_columns(rows.features, feature_set), config)
    relevant = (rows.grades > 0).astype(np.float64)
    shared = _fit(inputs, relevant, rows.group_sizes, config.l2, np.zeros(inputs.shape[1]))
    lengths = history_lengths(rows.features, feature_set)[np.cumsum(rows.group_sizes) - rows.group_sizes]
    starts = _merged(lengths, config)
    segment_of = np.searchsorted(starts, lengths, side="right") - 1
    segments = []
    for number, start in enumerate(starts):
        mine = segment_of == number
        fitted = shared
        if len(starts) > 1:
            taken = mine[rows.group_index]
            pull = config.l2 + config.prior / mine.sum()
            fitted = _fit(inputs[taken], relevant[taken], rows.group_sizes[mine], pull, shared)
        segments.append(FusionSegment(shortest=start, order=FUSED, weights=_weights(fitted, sources, config)))
    return Fusion(constants=config.constants, segments=tuple(segments))


def single(source: str, sources: tuple[str, ...], constants: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
    """Weights of a segment that one source decides; items without its rank follow by equal weights of the others."""
    others = (0.0,) * (len(constants) - 1)
    return {name: (*others, 1.0 if name == source else MINUTE) for name in sources}


def equal(sources: tuple[str, ...], constants: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
    """Equal weights with the last constant, as in a release without a fusion."""
    return {name: (*(0.0,) * (len(constants) - 1), 1.0) for name in sources}


def rank_columns(features: FloatArray, feature_set: FeatureSet) -> FloatArray:
    """Rank by each source from 0 [n, sources], NaN without a rank, of feature rows [n, F]."""
    names = feature_set.ranker_features
    return features[:, [names.index(f"rank_{source}") for source in feature_set.sources]]


def history_lengths(features: FloatArray, feature_set: FeatureSet) -> FloatArray:
    """Length of the user's history of feature rows [n]; 0 if the features have no such column."""
    names = feature_set.ranker_features
    if HISTORY_LENGTH_COLUMN not in names:
        return np.zeros(len(features), dtype=np.float32)
    return features[:, names.index(HISTORY_LENGTH_COLUMN)]


def _inputs(ranks: FloatArray, config: FusionConfig) -> FloatArray64:
    """Reciprocal ranks, 1 for the first place [n, sources * constants]."""
    place = np.where(np.isnan(ranks), np.inf, ranks).astype(np.float64) + 1.0
    columns = [(constant + 1.0) / (constant + place) for constant in config.constants]
    return np.stack(columns, axis=2).reshape(len(ranks), -1)


def _weights(fitted: FloatArray64, sources: tuple[str, ...], config: FusionConfig) -> dict[str, tuple[float, ...]]:
    table = fitted.reshape(len(sources), -1) * (np.array(config.constants) + 1.0)
    table += MINUTE * max(1.0, table.sum())
    return {name: tuple(weights) for name, weights in zip(sources, table.tolist(), strict=True)}


def _merged(lengths: FloatArray, config: FusionConfig) -> list[int]:
    """Shortest history of each segment with at least `fewest_groups` groups; always 0 first."""
    starts: list[int] = [0]
    for edge in config.edges[1:]:
        before = (lengths >= starts[-1]) & (lengths < edge)
        if before.sum() >= config.fewest_groups <= (lengths >= edge).sum():
            starts.append(edge)
    return starts


def _fit(
    inputs: FloatArray64, relevant: FloatArray64, sizes: npt.NDArray[np.int64], l2: float, center: FloatArray64
) -> FloatArray64:
    """The weights that minimise the mean cross-entropy of the groups plus l2 * |weights - center|^2."""
    starts, owners = np.cumsum(sizes) - sizes, np.repeat(np.arange(len(sizes)), sizes)
    share = relevant / np.add.reduceat(relevant, starts)[owners]
    target = share @ inputs

    def loss(weights: FloatArray64) -> tuple[float, FloatArray64]:
        scores = inputs @ weights
        highest = np.maximum.reduceat(scores, starts)
        raised = np.exp(scores - highest[owners])
        total = np.add.reduceat(raised, starts)
        mean = float((np.log(total) + highest).sum() - target @ weights) / len(sizes)
        slope = ((raised / total[owners]) @ inputs - target) / len(sizes)
        away = weights - center
        return mean + l2 * float(away @ away), slope + 2 * l2 * away

    first = center if center.any() else np.full(inputs.shape[1], 0.5)
    found = minimize(
        loss, first, jac=True, method="L-BFGS-B", bounds=[(0, None)] * inputs.shape[1], options={"maxiter": 200}
    )
    return np.asarray(found.x, dtype=np.float64)
