"""The largest weights of each row."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from components.index.tables import joined, strongest, without_diagonal


def test_the_largest_positive_weights_of_each_row_are_kept_best_first() -> None:
    rng = np.random.default_rng(0)
    dense = rng.integers(-3, 4, (12, 20)).astype(np.float64)
    matrix = sparse.csr_matrix(dense)
    found, places = strongest(matrix, matrix.data, 4)
    offsets, rows, weights = joined([found[:5], found[5:]])
    for line, values in enumerate(dense):
        span = slice(offsets[line], offsets[line + 1])
        expected = np.lexsort((np.arange(20), -values))[: min(4, np.count_nonzero(values > 0))]
        assert rows[span].tolist() == expected.tolist()
        np.testing.assert_allclose(weights[span], values[expected])
        assert places[span].tolist() == list(range(len(expected)))


def test_an_items_own_column_has_no_weight_in_any_block() -> None:
    dense = np.arange(1.0, 26.0).reshape(5, 5)
    block = sparse.csr_matrix(dense[2:])
    values = without_diagonal(block, 2).reshape(3, 5)
    np.testing.assert_array_equal(values, dense[2:] * (1 - np.eye(5)[2:]))
