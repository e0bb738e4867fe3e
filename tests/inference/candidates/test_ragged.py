from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inference.candidates import ragged

sizes = st.lists(st.integers(0, 6), min_size=1, max_size=12)


def offsets_of(counts: list[int]) -> np.ndarray:
    return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)


@given(sizes)
def test_owners_and_ranks_are_inverse_to_offsets(counts):
    offsets = offsets_of(counts)
    owners = ragged.owners_from_offsets(offsets)
    assert owners.tolist() == [owner for owner, count in enumerate(counts) for _ in range(count)]
    assert ragged.ranks(offsets).tolist() == [place for count in counts for place in range(count)]
    assert ragged.offsets_from_owners(owners, len(counts)).tolist() == offsets.tolist()


@given(sizes, st.integers(0, 7), st.randoms(use_true_random=False))
def test_best_is_a_sort_by_owner_score_and_place(counts, k, random):
    offsets = offsets_of(counts)
    owners = ragged.owners_from_offsets(offsets)
    scores = np.array([random.choice([0.0, 1.0, 2.0]) for _ in owners])
    expected = []
    for start, stop in pairwise(offsets.tolist()):
        expected += sorted(range(start, stop), key=lambda place: (-scores[place], place))[:k]
    assert ragged.best(owners, scores, k, len(counts)).tolist() == expected


@given(st.lists(st.integers(0, 50)), st.lists(st.integers(0, 50)))
def test_contains_is_membership(keys, among):
    found = ragged.contains(np.array(keys, dtype=np.int64), np.array(sorted(among), dtype=np.int64))
    assert found.tolist() == [key in among for key in keys]
