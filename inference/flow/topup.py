"""Tops up queries that have too few candidates after the filters, so that no feed is empty without need."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from inference.candidates.batch import Batch
from inference.candidates.query import CandidateSet
from inference.candidates.ragged import Index, contains, offsets_from_owners, ranks
from inference.flow.merge import append, bare
from inference.models.artifacts import Artifacts
from inference.sources.protocol import FallbackSource

FIRST_DEPTH = 256  # items of the fallback's list in the first attempt
DEPTH_FACTOR = 8  # growth of the list with each further attempt


def top_up(
    batch: Batch,
    candidates: CandidateSet,
    fallback: FallbackSource,
    filters: Callable[[CandidateSet], CandidateSet],
    artifacts: Artifacts,
) -> CandidateSet:
    """Adds items of the fallback source to queries with fewer candidates than requested, from ever longer lists.

    Args:
        batch: The q queries.
        candidates: The sources' candidates after the filters.
        fallback: The source with an order of all items.
        filters: Removes candidates that must not be shown.
        artifacts: The release, for the catalogue size and the source bits.

    Returns:
        The candidates; added candidates come after each query's other candidates and have lower scores.
    """
    wanted = np.array([query.count for query in batch.queries])
    short = np.flatnonzero(np.diff(candidates.offsets) < wanted)
    if len(short) == 0:
        return candidates
    num_items, depth = len(artifacts.items), FIRST_DEPTH
    present = np.sort(candidates.query_index * num_items + candidates.rows)
    missing = (wanted - np.diff(candidates.offsets))[short]
    while True:
        depth = min(depth, num_items)
        found = filters(_listed(fallback, depth, short, len(batch), artifacts))
        found = found.keep(~contains(found.query_index * num_items + found.rows, present))
        enough = np.diff(found.offsets)[short] >= missing
        if depth == num_items or enough.all():
            added = np.zeros(len(batch), dtype=np.int64)
            added[short] = missing
            return append(candidates, found.keep(ranks(found.offsets) < added[found.query_index]))
        depth *= DEPTH_FACTOR


def _listed(fallback: FallbackSource, depth: int, short: Index, num_queries: int, artifacts: Artifacts) -> CandidateSet:
    """Returns the fallback's first items for each query in `short`, scored below the candidates of every source."""
    config, sources, rows = artifacts.config, artifacts.feature_set.sources, fallback.everything[:depth]
    owners = np.repeat(short, len(rows))
    place = np.tile(np.arange(len(rows)), len(short))
    found = bare(offsets_from_owners(owners, num_queries), np.tile(rows, len(short)), len(sources))
    least, flattest = min([config.fallback_weight, *config.weights.values()]), config.rank_constant
    if config.fusion is not None:
        least, flattest = min(least, config.fusion.smallest), max(flattest, *config.fusion.constants)
    longest = max(config.quotas.values())
    score = least / (flattest + 1 + longest + place)
    if fallback.name not in sources:
        return found.with_scores(score.astype(np.float32))
    source = sources.index(fallback.name)
    found.source_scores[:, source] = fallback.shares(found.rows)
    found.source_ranks[:, source] = longest + place
    found.source_bits[:] = 1 << source
    return found.with_scores(score.astype(np.float32))
