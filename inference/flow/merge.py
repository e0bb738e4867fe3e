"""Merges the lists of the sources into one candidate set, ordered by reciprocal rank fusion.

score = sum over sources of weight / (k + rank), rank from 1 (Cormack, Clarke, Buettcher 2009). Rank fusion needs no
common scale of scores. A release may have learned weights (`models/fusion.py`), which order the queries that they were
learned for. The merged score is the retrieval order, which a slate falls back to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import FloatArray, IntArray, OffsetArray
from inference.candidates.found import Found
from inference.candidates.query import CandidateSet
from inference.candidates.ragged import contains, offsets_from_owners, owners_from_offsets, ranks
from inference.models.fusion import Fusion


@dataclass(frozen=True, slots=True)
class LearnedOrder:
    """Learned weights and the queries that they order.

    Attributes:
        fusion: The weights.
        segments: Segment of each query, -1 for a query that they do not order [q].
    """

    fusion: Fusion
    segments: npt.NDArray[np.int64]

    def scores(
        self,
        places: FloatArray,
        owners: npt.NDArray[np.int64],
        sources: Sequence[str],
        *,
        otherwise: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """The fused score of each candidate [n]; `otherwise` for candidates of the other queries."""
        mine = self.segments[owners]
        return np.where(mine >= 0, self.fusion.scores(places, mine, sources), otherwise)


def merge(
    found: Mapping[str, Found],
    sources: Sequence[str],
    weights: npt.NDArray[np.float64],
    rank_constant: float,
    num_items: int,
    learned: LearnedOrder | None = None,
) -> CandidateSet:
    """Returns one candidate for each distinct (query, item), best first within a query, ties by row.

    Args:
        found: Source name -> its result, without sources that failed.
        sources: All source names in bit order.
        weights: Weight of each source for each query [q, num_sources].
        rank_constant: k; a larger value makes the scores flatter.
        num_items: Size of the row map.
        learned: Learned weights, which replace `weights` and `rank_constant` for some queries.
    """
    num_queries = len(weights)
    parts = [(place, found[name]) for place, name in enumerate(sources) if name in found and len(found[name].rows)]
    if not parts:
        return bare(np.zeros(num_queries + 1, dtype=np.int64), np.zeros(0, dtype=np.int32), len(sources))
    keys = np.concatenate([owners_from_offsets(part.offsets) * num_items + part.rows for _, part in parts])
    distinct, place_of = np.unique(keys, return_inverse=True)
    scores = np.full((len(distinct), len(sources)), np.nan, dtype=np.float32)
    places = np.full_like(scores, np.nan)
    bits = np.zeros(len(distinct), dtype=np.uint32)
    fused = np.zeros(len(distinct))
    start = 0
    for source, part in parts:
        mine = place_of[start : start + len(part.rows)]
        start += len(part.rows)
        rank = ranks(part.offsets)
        scores[mine, source] = part.scores
        places[mine, source] = rank
        bits[mine] |= np.uint32(1 << source)
        fused[mine] += weights[owners_from_offsets(part.offsets), source] / (rank_constant + 1 + rank)
    owners, rows = np.divmod(distinct, num_items)
    if learned is not None:
        fused = learned.scores(places, owners, sources, otherwise=fused)
    order = np.lexsort((rows, -fused, owners))
    return CandidateSet(
        offsets=offsets_from_owners(owners, num_queries),
        rows=rows[order].astype(np.int32),
        source_bits=bits[order],
        source_scores=scores[order],
        source_ranks=places[order],
        score=fused[order].astype(np.float32),
    )


def concatenate(parts: Sequence[CandidateSet], num_sources: int) -> CandidateSet:
    """Concatenates the candidates of consecutive batches."""
    if not parts:
        return bare(np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32), num_sources)
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets: OffsetArray = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    names = set.intersection(*(set(part.probabilities) for part in parts))
    features = [part.features for part in parts if part.features is not None]
    return CandidateSet(
        offsets=offsets,
        rows=np.concatenate([part.rows for part in parts]),
        source_bits=np.concatenate([part.source_bits for part in parts]),
        source_scores=np.concatenate([part.source_scores for part in parts]),
        source_ranks=np.concatenate([part.source_ranks for part in parts]),
        score=np.concatenate([part.score for part in parts]),
        probabilities={name: np.concatenate([part.probabilities[name] for part in parts]) for name in sorted(names)},
        features=np.concatenate(features) if len(features) == len(parts) else None,
    )


def append(candidates: CandidateSet, extra: CandidateSet) -> CandidateSet:
    """Appends extra candidates to each query's candidates; features and probabilities are dropped."""
    owners = np.concatenate([candidates.query_index, extra.query_index])
    order = np.argsort(owners, kind="stable")
    return CandidateSet(
        offsets=candidates.offsets + extra.offsets,
        rows=np.concatenate([candidates.rows, extra.rows])[order],
        source_bits=np.concatenate([candidates.source_bits, extra.source_bits])[order],
        source_scores=np.concatenate([candidates.source_scores, extra.source_scores])[order],
        source_ranks=np.concatenate([candidates.source_ranks, extra.source_ranks])[order],
        score=np.concatenate([candidates.score, extra.score])[order],
    )


def spliced(left: CandidateSet, right: CandidateSet) -> CandidateSet:
    """Joins two sets of the same queries with all columns; each query's candidates of `left` come first.

    Probabilities and features are NaN for candidates that have none.
    """
    joined = append(left, right)
    order = np.argsort(np.concatenate([left.query_index, right.query_index]), kind="stable")
    names = dict.fromkeys([*left.probabilities, *right.probabilities])
    probabilities = {
        name: np.concatenate([_filled(part.probabilities.get(name), (len(part),)) for part in (left, right)])[order]
        for name in names
    }
    widths = [part.features.shape[1] for part in (left, right) if part.features is not None]
    features = None
    if widths:
        features = np.concatenate([_filled(part.features, (len(part), widths[0])) for part in (left, right)])[order]
    return replace(joined, probabilities=probabilities, features=features)


def _filled(column: FloatArray | None, shape: tuple[int, ...]) -> FloatArray:
    return np.full(shape, np.nan, dtype=np.float32) if column is None else column


def with_rows(
    candidates: CandidateSet, owners: npt.NDArray[np.integer], rows: IntArray, num_items: int
) -> CandidateSet:
    """Adds items that no source found after each query's candidates, with score 0 and no source bit.

    Args:
        candidates: Not yet hydrated.
        owners: Query of each item to add [n].
        rows: Item rows to add [n]; existing and repeated (query, item) pairs are skipped.
        num_items: Size of the row map.
    """
    present = np.sort(candidates.query_index * num_items + candidates.rows)
    keys = np.unique(np.asarray(owners, dtype=np.int64) * num_items + rows)
    new_owners, new_rows = np.divmod(keys[~contains(keys, present)], num_items)
    offsets = offsets_from_owners(new_owners, candidates.num_queries)
    return append(candidates, bare(offsets, new_rows.astype(np.int32), candidates.source_scores.shape[1]))


def bare(offsets: OffsetArray, rows: IntArray, num_sources: int) -> CandidateSet:
    """Returns candidates that no source found [n], with score 0."""
    nothing = np.full((len(rows), num_sources), np.nan, dtype=np.float32)
    return CandidateSet(
        offsets=offsets,
        rows=rows,
        source_bits=np.zeros(len(rows), dtype=np.uint32),
        source_scores=nothing,
        source_ranks=nothing,
        score=np.zeros(len(rows), dtype=np.float32),
    )
