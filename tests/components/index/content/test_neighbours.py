"""The nearest items of vectors whose neighbours are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.index.content import neighbours
from components.index.content.neighbours import ContentConfig, nearest_by_content
from feature_repo.features.state import FloatArray
from inference.models.neighbours import ContentNeighbours


def vectors_of(num: int, groups: int) -> FloatArray:
    """Groups of close vectors."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(groups, 32))
    vectors = centres[np.arange(num) % groups] + 0.3 * rng.normal(size=(num, 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_neighbours_are_the_highest_cosines_without_the_item_itself(tmp_path: Path) -> None:
    vectors = vectors_of(200, 20)
    vectors[7] = 0  # an item without content
    table = nearest_by_content(vectors, ContentConfig(num_neighbours=5, sharpness=3.0))
    assert table is not None
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    assert len(table.of(7)[0]) == 0
    assert 7 not in table.rows
    for row in (0, 6, 8, 199):
        found, weights = table.of(row)
        assert found.tolist() == np.argsort(-cosines[row], kind="stable")[:5].tolist()
        np.testing.assert_allclose(weights, cosines[row][found] ** 3, rtol=1e-4)
    table.save(tmp_path)
    np.testing.assert_array_equal(ContentNeighbours.load(tmp_path).rows, table.rows)


def test_clusters_of_a_large_catalogue_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, config = vectors_of(3_000, 100), ContentConfig(num_neighbours=10)
    exact = nearest_by_content(vectors, config)
    monkeypatch.setattr(neighbours, "EXACT_UP_TO", 1_000)
    monkeypatch.setattr(neighbours, "BLOCK", 700)
    clustered = nearest_by_content(vectors, config)
    assert exact is not None
    assert clustered is not None
    same = [len(np.intersect1d(exact.of(row)[0], clustered.of(row)[0])) for row in range(3_000)]
    assert np.mean(same) > 9.5


def test_no_content_is_no_table() -> None:
    assert nearest_by_content(np.zeros((10, 4), dtype=np.float32), ContentConfig()) is None
    assert nearest_by_content(np.eye(4, dtype=np.float32), ContentConfig()) is None
