"""The largest weights of each row of a sparse matrix, as matrix or as the arrays of a table of neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from feature_repo.features.state import FloatArray, IntArray, OffsetArray

Columns = tuple[OffsetArray, IntArray, FloatArray]


def strongest(
    matrix: sparse.csr_matrix, values: npt.NDArray[np.floating], num: int
) -> tuple[sparse.csr_matrix, IntArray]:
    """The largest positive values of each row, and the rank of each entry within its row.

    Args:
        matrix: Pattern with sorted indices [r, m].
        values: Value of each entry of the pattern.
        num: Most entries of a row.

    Returns:
        The kept entries, best first within each row, ties by column; and their ranks from 0.
    """
    positive = np.flatnonzero(values > 0)
    owners = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[positive]
    order = positive[np.lexsort((-values[positive], owners))]
    counts = np.bincount(owners, minlength=matrix.shape[0])
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = place < num
    index, indptr = order[kept], np.concatenate(([0], np.cumsum(np.minimum(counts, num))))
    found = sparse.csr_matrix((values[index], matrix.indices[index], indptr), shape=matrix.shape)
    return found, place[kept].astype(np.int32)


def without_diagonal(block: sparse.csr_matrix, start: int = 0) -> npt.NDArray[np.floating]:
    """The values of a block of rows with 0 for each item's own column; `start` is the item of the first row."""
    owners = np.repeat(np.arange(start, start + block.shape[0]), np.diff(block.indptr))
    values: npt.NDArray[np.floating] = np.where(owners == block.indices, 0.0, block.data)
    return values


def joined(blocks: list[sparse.csr_matrix]) -> Columns:
    """Offsets, rows and weights of the table whose rows are those of the blocks, in order; at least one block."""
    counts = np.concatenate([np.diff(block.indptr) for block in blocks])
    return (
        np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        np.concatenate([block.indices for block in blocks]).astype(np.int32),
        np.concatenate([block.data for block in blocks]).astype(np.float32),
    )
