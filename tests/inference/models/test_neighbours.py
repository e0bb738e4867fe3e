"""Neighbours: votes and pair weights against a dense calculation by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import inference.models.neighbours as module
from feature_repo.errors import BundleError
from inference.models.neighbours import Neighbours


def random_neighbours(rng: np.random.Generator, num_items: int = 30) -> tuple[Neighbours, np.ndarray]:
    dense = rng.random((num_items, num_items)) * (rng.random((num_items, num_items)) < 0.2)
    np.fill_diagonal(dense, 0.0)
    offsets, rows, weights = [0], [], []
    for line in dense:
        order = np.argsort(-line)[: np.count_nonzero(line)]
        rows += order.tolist()
        weights += line[order].tolist()
        offsets.append(len(rows))
    found = Neighbours(np.array(offsets), np.array(rows, dtype=np.int32), np.array(weights, dtype=np.float32))
    return found, dense


@pytest.mark.parametrize("chunk", [1, 50, 10_000])
def test_votes_are_the_weighted_sum_of_the_seeds_rows(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", chunk)
    rng = np.random.default_rng(0)
    neighbours, dense = random_neighbours(rng)
    lengths = np.array([3, 0, 12, 1, 0, 7])
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    seeds = rng.integers(30, size=lengths.sum()).astype(np.int32)
    voices = rng.random(len(seeds)).astype(np.float32)
    found_offsets, rows, votes = neighbours.vote(offsets, seeds, voices, k=8)
    for query in range(len(lengths)):
        span = slice(offsets[query], offsets[query + 1])
        expected = (voices[span, None] * dense[seeds[span]]).sum(axis=0) if lengths[query] else np.zeros(30)
        mine = slice(found_offsets[query], found_offsets[query + 1])
        assert len(rows[mine]) == min(8, np.count_nonzero(expected))
        np.testing.assert_allclose(votes[mine], expected[rows[mine]], rtol=1e-5)
        np.testing.assert_allclose(votes[mine], np.sort(expected)[::-1][: len(rows[mine])], rtol=1e-5)


def test_no_query_and_no_seed_give_nothing() -> None:
    neighbours, _ = random_neighbours(np.random.default_rng(1))
    none = np.zeros(0, dtype=np.int32)
    for num_queries in (0, 2):
        offsets, rows, votes = neighbours.vote(np.zeros(num_queries + 1, dtype=np.int64), none, none.astype("f4"), 5)
        assert offsets.tolist() == [0] * (num_queries + 1)
        assert len(rows) == len(votes) == 0


def test_pair_weights() -> None:
    rng = np.random.default_rng(2)
    neighbours, dense = random_neighbours(rng)
    left, right = rng.integers(-1, 30, size=400), rng.integers(30, size=400)
    expected = np.where(left >= 0, dense[left, right], 0.0)
    np.testing.assert_allclose(neighbours.weight(left.astype(np.int32), right.astype(np.int32)), expected, rtol=1e-6)


def test_round_trip_and_damage(tmp_path: Path) -> None:
    neighbours, _ = random_neighbours(np.random.default_rng(3))
    neighbours.save(tmp_path)
    loaded = Neighbours.load(tmp_path)
    rows, weights = loaded.of(4)
    np.testing.assert_array_equal(rows, neighbours.of(4)[0])
    assert (np.diff(weights) <= 0).all()
    (tmp_path / "neighbours.npz").write_bytes(b"PK")
    with pytest.raises(BundleError, match="cannot be read"):
        Neighbours.load(tmp_path)
