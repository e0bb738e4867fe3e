"""Chooses the order that a release serves, on the validation span: the trees, the learned fusion, or a single source.

All orders are compared on the same queries by NDCG@20 over all candidates (`judging.py`), with the standard error of
the paired difference. Queries of one user count as one cluster, because a user's queries are alike. If the queries are
split into halves (`trees/stopping.py`), each half judges the trees and the fusion that the other half chooses. The
trees are served if they lead by more than a standard error, because their lead on a later span is smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.ranking.judging import DEPTH, JudgedQueries
from components.ranking.order.cold_places import choose_cold_places
from components.ranking.order.depth import choose_depth
from components.ranking.order.fusion import equal, fit_fusion, history_lengths, rank_columns, single
from components.ranking.rows import RankingRows
from components.ranking.trees.stopping import HALVES, HalfArray
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import FloatArray
from feature_repo.storage.files import write_json
from inference.models.cold_places import ColdPlaces
from inference.models.fusion import FUSED, FUSION_FILE, Fusion, FusionSegment
from inference.scorers.order import Order
from inference.scorers.ranker import BY_RANKER, RankerDescription, write_description
from inference.sources import FALLBACK

FEWEST_QUERIES = 50  # a segment with fewer validation queries follows the choice over all queries
FUSION_ERRORS = 1.0  # a source replaces the fitted weights if it is better by this many standard errors
TREE_ERRORS = 1.0  # lead of the trees over the fusion, which is simpler and faster
POPULAR_ERRORS = 2.0  # lead of a fusion over the popular order, which the gate asks for

FloatArray64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChosenOrder:
    """The order that a release serves.

    Attributes:
        description: Content of `ranker.json`.
        fusion: The retrieval order.
        order: The fusion as the ranker reads it.
        cold_places: Places of items without an event; None if validation has no use for them.
    """

    description: RankerDescription
    fusion: Fusion
    order: Order
    cold_places: ColdPlaces | None = None

    @property
    def by_trees(self) -> bool:
        """Whether the trees order the candidates."""
        return self.description.order == BY_RANKER

    def save(self, directory: Path) -> None:
        """Writes `ranker.json`, `fusion.json`, and the files that only some orders have."""
        write_json(directory / FUSION_FILE, self.fusion.model_dump(mode="json"))
        if not self.by_trees:
            self.order.save(directory)
        if self.cold_places is not None:
            self.cold_places.save(directory)
        write_description(directory, self.description)


def choose_order(
    train: RankingRows,
    judged: JudgedQueries,
    halves: HalfArray | None,
    trees: npt.NDArray[np.floating],
    feature_set: FeatureSet,
) -> ChosenOrder:
    """Fits the fusion and compares it with every source and with the trees.

    Args:
        train: Learnable rows of the ranking span.
        judged: All candidates of validation queries, later than all rows of `train`.
        halves: Half of each query [g]; None if the queries are not split.
        trees: Score of the trees for each row of `judged` [n], of trees that were stopped on the other half.
        feature_set: Of the rows.
    """
    fitted = fit_fusion(train, feature_set)
    fusion = choose_fusion(fitted, judged, feature_set)
    sources = _of_sources(fusion.constants, judged, feature_set)
    figures = {name: judged.ndcg(_scores(order, judged, feature_set)) for name, order in sources.items()}
    fused = _crosswise(fitted, judged, halves, feature_set)
    if fusion.order == FUSED:
        figures[FUSED] = fused
    figures[BY_RANKER] = judged.ndcg(trees)
    name = fusion.order
    lead, error = paired(figures[BY_RANKER] - fused, judged.user_ids)
    if lead > TREE_ERRORS * error:
        name = BY_RANKER
    elif name == FUSED and FALLBACK.name in sources:
        above, noise = paired(fused - figures[FALLBACK.name], judged.user_ids)
        if above <= POPULAR_ERRORS * noise:
            name, fusion = FALLBACK.name, sources[FALLBACK.name]
    means = {other: float(values.mean()) if len(values) else 0.0 for other, values in figures.items()}
    retrieval = _scores(fusion, judged, feature_set)
    served = trees if name == BY_RANKER else retrieval
    description = RankerDescription(
        kind="lightgbm" if name == BY_RANKER else "order",
        order=name,
        reason=_reason(name, means, len(judged), lead, error),
        most_ranked=choose_depth(judged, retrieval, served),
    )
    return ChosenOrder(description, fusion, Order.of(fusion, feature_set), choose_cold_places(judged, served))


def _crosswise(
    fitted: Fusion, judged: JudgedQueries, halves: HalfArray | None, feature_set: FeatureSet
) -> FloatArray64:
    """NDCG of each query [g] by the fusion that the other half of the queries chooses."""
    if halves is None:
        return judged.ndcg(_scores(choose_fusion(fitted, judged, feature_set), judged, feature_set))
    values = np.empty(len(judged))
    for half in HALVES:
        mine, others = (np.flatnonzero(halves == side) for side in (half, 1 - half))
        chosen, asked = choose_fusion(fitted, judged.take(others), feature_set), judged.take(mine)
        values[mine] = asked.ndcg(_scores(chosen, asked, feature_set))
    return values


def choose_fusion(fitted: Fusion, judged: JudgedQueries, feature_set: FeatureSet) -> Fusion:
    """The fitted weights, except where a single source or equal weights are better by more than noise.

    Args:
        fitted: Fitted weights of each segment.
        judged: All candidates of validation queries.
        feature_set: Of the queries' rows.

    Returns:
        A fusion that no single source exceeds by more than a standard error: in no segment with enough queries, and not
        over all queries.
    """
    rivals = _of_sources(fitted.constants, judged, feature_set)
    plain = FusionSegment(shortest=0, order=FUSED, weights=equal(feature_set.sources, fitted.constants))
    rivals["equal weights"] = Fusion(constants=fitted.constants, segments=(plain,))
    values = {name: judged.ndcg(_scores(rival, judged, feature_set)) for name, rival in rivals.items()}
    mine = judged.ndcg(_scores(fitted, judged, feature_set))
    segment_of = _segments(fitted, judged, feature_set)
    segments = []
    for number, segment in enumerate(fitted.segments):
        asked = np.flatnonzero(segment_of == number)
        asked = asked if len(asked) >= FEWEST_QUERIES else np.arange(len(judged))
        name = _better(mine[asked], {other: ndcg[asked] for other, ndcg in values.items()}, judged.user_ids[asked])
        taken = segment if name is None else rivals[name].segments[0]
        segments.append(taken.model_copy(update={"shortest": segment.shortest}))
    chosen = Fusion(constants=fitted.constants, segments=tuple(segments))
    name = _better(judged.ndcg(_scores(chosen, judged, feature_set)), values, judged.user_ids)
    return chosen if name is None else rivals[name]


def paired(differences: FloatArray64, user_ids: npt.NDArray[np.object_]) -> tuple[float, float]:
    """Mean of paired differences [g] and its standard error with the users [g] as clusters; infinite for one user."""
    if len(differences) == 0:
        return 0.0, np.inf
    mean = float(differences.mean())
    _, codes = np.unique(user_ids.astype(str), return_inverse=True)
    by_user = np.bincount(codes, differences - mean)
    if len(by_user) < 2:
        return mean, np.inf
    variance = float((by_user**2).sum()) * len(by_user) / (len(by_user) - 1)
    return mean, float(np.sqrt(variance)) / len(differences)


def _better(mine: FloatArray64, rivals: Mapping[str, FloatArray64], user_ids: npt.NDArray[np.object_]) -> str | None:
    """The best rival if it is better by more than noise."""
    if not len(mine):
        return None
    best = max(rivals, key=lambda name: float(rivals[name].mean()))
    lead, error = paired(rivals[best] - mine, user_ids)
    return best if lead > FUSION_ERRORS * error else None


def _of_sources(constants: tuple[float, ...], judged: JudgedQueries, feature_set: FeatureSet) -> dict[str, Fusion]:
    """The order of each source that found a candidate of the judged queries."""
    missing = np.isnan(rank_columns(judged.features, feature_set))
    return {
        name: Fusion(
            constants=constants,
            segments=(FusionSegment(shortest=0, order=name, weights=single(name, feature_set.sources, constants)),),
        )
        for place, name in enumerate(feature_set.sources)
        if not missing[:, place].all()
    }


def _scores(fusion: Fusion, judged: JudgedQueries, feature_set: FeatureSet) -> FloatArray64:
    return Order.of(fusion, feature_set).scores(judged.features)


def _segments(fusion: Fusion, judged: JudgedQueries, feature_set: FeatureSet) -> npt.NDArray[np.int64]:
    """Segment of each query, -1 for a query without candidates [g]."""
    filled = np.flatnonzero(np.diff(judged.offsets))
    first: FloatArray = judged.features[judged.offsets[:-1][filled]]
    segments = np.full(len(judged), -1, dtype=np.int64)
    segments[filled] = fusion.segments_of(history_lengths(first, feature_set))
    return segments


def _reason(name: str, means: Mapping[str, float], num_queries: int, lead: float, error: float) -> str:
    ranked = sorted(means, key=lambda other: -means[other])
    listed = ", ".join(f"{other} {means[other]:.4f}" for other in ranked)
    compared = f"{BY_RANKER} is ahead of the retrieval order by {lead:+.4f} (standard error {error:.4f})"
    return f"NDCG@{DEPTH} of {num_queries:,} validation queries by order: {listed}; {compared}; {name} is served"
