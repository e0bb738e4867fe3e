"""Scores and ranks by every source for every candidate, which the ranker reads as features.

A candidate that only the popular list found also has an inner product with the user's vector, and may rank just below
another source's quota. With empty cells the ranker would learn which source found a candidate instead of how good it
is. Empty cells would also distinguish the items of a log from the items that sources find.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from feature_repo.features.state import FloatArray
from inference.candidates.found import Found
from inference.candidates.query import CandidateSet
from inference.candidates.ragged import Index, owners_from_offsets


def complete(
    candidates: CandidateSet,
    found: Mapping[str, Found],
    sources: Sequence[str],
    num_items: int,
) -> CandidateSet:
    """Returns the candidates with all scores and ranks that the sources can compute.

    Args:
        candidates: Candidates of q queries, in any order within a query.
        found: The full list of each source for these queries, beyond its quota too, without sources that failed.
        sources: All source names in bit order.
        num_items: Size of the row map.

    Returns:
        Candidates with new columns. `source_scores` come from the sources' lists, or from the inner product if a source
        has query vectors. `source_ranks` count from 0 within the query's candidates. Both are NaN if the source has no
        score.
    """
    scores = np.full((len(candidates), len(sources)), np.nan, dtype=np.float32)
    owners = candidates.query_index
    keys = owners * num_items + candidates.rows
    for place, name in enumerate(sources):
        if name not in found:
            continue
        part = found[name]
        if part.vectors is not None and part.embeddings is not None:
            scores[:, place] = _inner_products(part.vectors, part.embeddings, owners, candidates)
        elif len(part.rows):
            scores[:, place] = _looked_up(part, keys, num_items)
    return replace(candidates, source_scores=scores, source_ranks=_ranked(scores, owners, candidates))


def _inner_products(vectors: FloatArray, embeddings: FloatArray, owners: Index, candidates: CandidateSet) -> FloatArray:
    asked = np.any(vectors != 0, axis=1)[owners]
    products: FloatArray = np.einsum("nd,nd->n", vectors[owners], embeddings[candidates.rows])
    return np.where(asked, products, np.float32(np.nan))


def _looked_up(part: Found, keys: Index, num_items: int) -> FloatArray:
    own_keys = owners_from_offsets(part.offsets) * num_items + part.rows
    order = np.argsort(own_keys)
    at = np.minimum(np.searchsorted(own_keys, keys, sorter=order), len(own_keys) - 1)
    at = order[at]
    return np.where(own_keys[at] == keys, part.scores[at], np.float32(np.nan))


def _ranked(scores: FloatArray, owners: Index, candidates: CandidateSet) -> FloatArray:
    """Returns the rank of each score within its query, best first, ties by row [n, num_sources]; NaN stays NaN."""
    ranks = np.full_like(scores, np.nan)
    place = (np.arange(len(owners)) - candidates.offsets[owners]).astype(np.float32)
    for source in range(scores.shape[1]):
        column = scores[:, source]
        known = ~np.isnan(column)
        if known.any():
            order = np.lexsort((candidates.rows, np.where(known, -column, np.inf), owners))
            ranks[order, source] = place
    ranks[np.isnan(scores)] = np.nan
    return ranks
