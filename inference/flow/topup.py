"""Tops up what filters left short, so that no feed is empty while there is an item to show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from feature_repo.features.state import IntArray
from inference.candidates.query import CandidateSet, Query
from inference.candidates.ragged import Index, contains, offsets_from_owners, ranks
from inference.flow.merge import append, bare
from inference.models.artifacts import Artifacts
from inference.sources.popular import PopularSource

FIRST_DEPTH = 256
WIDER = 8


def top_up(
    queries: Sequence[Query],
    candidates: CandidateSet,
    popular: PopularSource,
    filters: Callable[[CandidateSet], CandidateSet],
    artifacts: Artifacts,
) -> CandidateSet:
    """Adds popular items, deeper and deeper, to queries that have fewer candidates than they ask for.

    Args:
        queries: q queries.
        candidates: What sources brought and filters left.
        popular: Knows the order of all items.
        filters: Removes what may not be shown.
        artifacts: For the size of the catalogue and the source bits.

    Returns:
        The candidates, with added ones after (and scored below) each query's own.
    """
    wanted = np.array([query.count for query in queries])
    everything, num_items, depth = popular.everything, len(artifacts.items), FIRST_DEPTH
    short = np.flatnonzero(np.diff(candidates.offsets) < wanted)
    if len(short) == 0:
        return candidates
    present = np.sort(candidates.query_index * num_items + candidates.rows)
    missing = (wanted - np.diff(candidates.offsets))[short]
    while True:
        depth = min(depth, num_items)
        found = filters(_popular_rows(everything[:depth], short, len(queries), artifacts))
        found = found.keep(~contains(found.query_index * num_items + found.rows, present))
        enough = np.diff(found.offsets)[short] >= missing
        if depth == num_items or enough.all():
            added = np.zeros(len(queries), dtype=np.int64)
            added[short] = missing
            return append(candidates, found.keep(ranks(found.offsets) < added[found.query_index]))
        depth *= WIDER


def _popular_rows(rows: IntArray, short: Index, num_queries: int, artifacts: Artifacts) -> CandidateSet:
    """The same popular rows for each query in `short`, scored below whatever the sources bring."""
    config, sources = artifacts.config, artifacts.feature_set.sources
    owners = np.repeat(short, len(rows))
    place = np.tile(np.arange(len(rows)), len(short))
    found = bare(offsets_from_owners(owners, num_queries), np.tile(rows, len(short)), len(sources))
    least = min([config.fallback_weight, *config.weights.values()])
    longest = max(config.quotas.values())
    score = least / (config.rank_constant + 1 + longest + place)
    if "popular" not in sources:
        return found.with_scores(score.astype(np.float32))
    source = sources.index("popular")
    total = max(float(artifacts.popularity.score.sum()), 1e-12)
    found.source_scores[:, source] = artifacts.popularity.score[found.rows] / total
    found.source_ranks[:, source] = longest + place
    found.source_bits[:] = 1 << source
    return found.with_scores(score.astype(np.float32))
