"""Fits the nearest items of each item by content: the part of the source `content`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from components.index.content.vectors import content_vectors
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.state import FloatArray, IntArray
from inference.candidates.ragged import offsets_from_owners
from inference.models.neighbours import ContentNeighbours

EXACT_UP_TO = 50_000  # items; above, the search looks at the nearest clusters alone
PROBES = 16  # clusters of a search
SAMPLED = 50  # vectors per cluster that the clusters are fitted on
BLOCK = 8_192  # items of one search


class ContentConfig(BaseModel):
    """Settings of the neighbours by content.

    Attributes:
        num_neighbours: Maximum number of neighbours of an item.
        sharpness: Power of the cosine that is the weight; a high one counts the closest neighbours alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_neighbours: int = 50
    sharpness: float = 4.0


def fit_content_neighbours(
    tables: PreparedTables, item_ids: npt.NDArray[np.object_], as_of: float, config: ContentConfig | None = None
) -> ContentNeighbours | None:
    """The neighbours of every item with content, known only from the catalogue.

    Args:
        tables: Clean prepared tables.
        item_ids: The row map [m].
        as_of: Unix seconds; see `content_vectors`.
        config: See `ContentConfig`.

    Returns:
        The table; None if dataset.toml names no text encoder, or no two items have similar content.

    Raises:
        DatasetError: The package of the text encoder is missing.
    """
    encoder = tables.config.text.encoder
    if encoder is None:
        return None
    return nearest_by_content(content_vectors(tables, item_ids, as_of, encoder), config or ContentConfig())


def nearest_by_content(vectors: FloatArray, config: ContentConfig) -> ContentNeighbours | None:
    """The table of the nearest vectors; see `fit_content_neighbours`.

    Args:
        vectors: Vectors of length 1, or 0 for an item without content [m, d].
        config: See `ContentConfig`.
    """
    filled = np.flatnonzero(vectors.any(axis=1)).astype(np.int32)
    owners, rows, weights = [], [], []
    for start, cosines, near in _searched(vectors[filled], config.num_neighbours + 1):
        own = np.repeat(filled[start : start + len(near), None], near.shape[1], axis=1)
        others = filled[near]  # -1, a missing result, is removed with its cosine
        kept = (near >= 0) & (cosines > 0) & (others != own)
        kept &= np.cumsum(kept, axis=1) <= config.num_neighbours
        owners.append(own[kept])
        rows.append(others[kept])
        weights.append(np.minimum(cosines[kept], 1.0) ** config.sharpness)
    if not sum(map(len, rows)):
        return None
    return ContentNeighbours(
        offsets_from_owners(np.concatenate(owners), len(vectors)),
        np.concatenate(rows),
        np.concatenate(weights).astype(np.float32),
    )


def _searched(vectors: FloatArray, k: int) -> Iterator[tuple[int, FloatArray, IntArray]]:
    """The first vector, the cosines and the places of the k nearest of each block of vectors, best first."""
    if not len(vectors):
        return
    index = _index(vectors)
    for start in range(0, len(vectors), BLOCK):
        cosines, near = index.search(vectors[start : start + BLOCK], min(k, len(vectors)))
        yield start, cosines, near


def _index(vectors: FloatArray) -> Any:
    """An exact index of a small catalogue, else clusters, because a graph links many equal vectors badly."""
    exact: Any = faiss.IndexFlatIP(vectors.shape[1])
    if len(vectors) <= EXACT_UP_TO:
        exact.add(vectors)
        return exact
    num_clusters = math.isqrt(len(vectors))
    index: Any = faiss.IndexIVFFlat(exact, vectors.shape[1], num_clusters, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = PROBES
    index.train(vectors[np.random.default_rng(0).permutation(len(vectors))[: SAMPLED * num_clusters]])
    index.add(vectors)
    return index
