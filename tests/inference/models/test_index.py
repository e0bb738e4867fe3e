"""The index: every kind at small sizes, recall against exact, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from feature_repo.errors import BundleError
from inference.models.index import IndexConfig, ItemIndex

SMALL = {
    "flat": IndexConfig(),
    "hnsw": IndexConfig(hnsw_from=1),
    "ivf": IndexConfig(hnsw_from=1, ivf_from=1),
    "ivfpq": IndexConfig(hnsw_from=1, ivf_from=1, ivfpq_from=1_000),
}


def unit(rng: np.random.Generator, num: int, dimension: int = 32, clusters: int = 40) -> np.ndarray:
    centres = rng.normal(size=(clusters, dimension))
    vectors = centres[rng.integers(clusters, size=num)] + 0.7 * rng.normal(size=(num, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return unit(np.random.default_rng(0), 6_000)


@pytest.mark.parametrize("kind", SMALL)
def test_every_kind_recalls_and_survives_a_round_trip(kind: str, vectors: np.ndarray, tmp_path: Path) -> None:
    queries = unit(np.random.default_rng(1), 50)
    index = ItemIndex.build(vectors, SMALL[kind], queries)
    assert index.kind == kind
    assert len(index) == len(vectors)
    assert index.dimension == 32
    assert index.recall is not None
    assert index.recall >= 0.95
    index.save(tmp_path)
    loaded = ItemIndex.load(tmp_path)
    assert (loaded.kind, loaded.recall) == (index.kind, index.recall)
    for a, b in zip(index.search(queries, 100), loaded.search(queries, 100), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", SMALL)
def test_scores_are_inner_products_best_first(kind: str, vectors: np.ndarray) -> None:
    queries = unit(np.random.default_rng(2), 20)
    rows, scores = ItemIndex.build(vectors, SMALL[kind]).search(queries, 50)
    assert rows.dtype == np.int32
    assert rows.shape == scores.shape == (20, 50)
    np.testing.assert_allclose(np.einsum("qd,qkd->qk", queries, vectors[rows]), scores, atol=1e-5)
    assert (np.diff(scores, axis=1) <= 1e-6).all()
    assert all(len(set(row)) == 50 for row in rows.tolist())


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("num_items", [1, 7, 1_200])
def test_no_row_is_minus_one_even_when_all_items_are_wanted(kind: str, num_items: int) -> None:
    vectors = unit(np.random.default_rng(3), num_items)
    rows, scores = ItemIndex.build(vectors, SMALL[kind]).search(vectors[:5], 5_000)
    assert rows.shape == (min(5, num_items), num_items)
    assert np.isfinite(scores).all()
    assert (np.sort(rows, axis=1) == np.arange(num_items)).all()


def test_an_index_that_recalls_too_little_is_refused() -> None:
    noise = np.random.default_rng(4).normal(size=(6_000, 32)).astype(np.float32)
    starved = IndexConfig(hnsw_from=1, ivf_from=1, ivfpq_from=1_000, pq_bytes=1)
    with pytest.raises(BundleError, match="of the exact top 500"):
        ItemIndex.build(noise, starved)


def test_sizes_choose_the_kind() -> None:
    config = IndexConfig()
    assert [config.kind(n) for n in (10, 50_000, 500_000, 5_000_000)] == ["flat", "hnsw", "ivf", "ivfpq"]


def test_damaged_files_are_refused(tmp_path: Path, vectors: np.ndarray) -> None:
    ItemIndex.build(vectors[:100]).save(tmp_path)
    (tmp_path / "index.faiss").write_bytes(b"IxFI")
    with pytest.raises(BundleError, match="cannot be read"):
        ItemIndex.load(tmp_path)


def test_embeddings_that_are_not_finite_are_refused() -> None:
    with pytest.raises(BundleError, match="not finite"):
        ItemIndex.build(np.full((3, 4), np.nan, dtype=np.float32))
