"""Rows of groups: what stays together, and what LambdaMART compares."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from components.ranking.rows import RankingRows


def make(groups: list[list[tuple[int, bool]]]) -> RankingRows:
    """Rows of groups given as (grade, brought); the one feature is the row's number."""
    flat = [row for group in groups for row in group]
    number = np.arange(len(flat))
    grades = np.array([grade for grade, _ in flat], dtype=np.int8)
    return RankingRows(
        features=number[:, None].astype(np.float32),
        grades=grades,
        labels=(grades > 0).astype(np.int8)[:, None],
        brought=np.array([brought for _, brought in flat], dtype=bool),
        shown=number % 2 == 0,
        positions=number.astype(np.int32),
        outcomes=number,
        group_sizes=np.array([len(group) for group in groups], dtype=np.int64),
    )


rows_of_groups = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6), min_size=1, max_size=8
)


@given(rows_of_groups, st.randoms(use_true_random=False))
def test_keep_drops_rows_and_empty_groups(groups: list[list[tuple[int, bool]]], random) -> None:
    rows = make(groups)
    mask = np.array([random.random() < 0.5 for _ in range(len(rows))])
    kept = rows.keep(mask)
    assert kept.features[:, 0].tolist() == np.flatnonzero(mask).tolist()
    left = [
        sum(mask[start : start + len(group)])
        for start, group in zip(np.cumsum([0, *map(len, groups)]), groups, strict=False)
    ]
    assert kept.group_sizes.tolist() == [size for size in left if size]
    assert len(kept) == kept.group_sizes.sum() == len(kept.labels) == len(kept.shown) == len(kept.outcomes)


@given(rows_of_groups)
def test_learnable_are_brought_rows_of_groups_with_a_brought_positive(groups: list[list[tuple[int, bool]]]) -> None:
    rows = make(groups)
    learnable = rows.learnable()
    expected, number = [], 0
    for group in groups:
        worth = any(brought and grade > 0 for grade, brought in group)
        for _, brought in group:
            if worth and brought:
                expected.append(number)
            number += 1
    assert learnable.features[:, 0].tolist() == expected
    assert learnable.brought.all()
    assert (np.bincount(learnable.group_index, weights=learnable.grades) > 0).all()


def test_concatenated_groups_stay_apart() -> None:
    one, two = make([[(1, True)], [(0, True), (2, False)]]), make([[(0, False)]])
    both = RankingRows.concatenate([one, two])
    assert both.group_index.tolist() == [0, 1, 1, 2]
    assert both.grades.tolist() == [1, 0, 2, 0]
