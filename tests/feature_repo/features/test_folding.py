"""Folding: events in one call or in several give the state that counting them one by one gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo.features.folding import GradedEvents, fold, joined_states, no_state
from feature_repo.features.state import HISTORY_LENGTH, History, OwnItems

NUM_ITEMS = 5
event = st.tuples(st.integers(0, NUM_ITEMS - 1), st.sampled_from([-1, 1, 2]), st.integers(0, 3))
users = st.lists(st.lists(event, max_size=12), min_size=1, max_size=4)


def ragged(users: list[list[tuple[int, int, int]]]) -> GradedEvents:
    """The events of users in the order of time, ties in the given order."""
    flat = [entry for part in users for entry in sorted(part, key=lambda entry: entry[2])]
    columns = np.array(flat, dtype=np.int64).reshape(-1, 3)
    return GradedEvents(
        offsets=np.concatenate([[0], np.cumsum([len(part) for part in users])]).astype(np.int64),
        rows=columns[:, 0].astype(np.int32),
        grades=columns[:, 1].astype(np.int8),
        times=columns[:, 2].astype(np.float64),
    )


def plain(state: tuple[History, OwnItems]) -> list[list[Any]]:
    """History and own items of each user as plain tuples."""
    found = []
    for part in state:
        columns = [getattr(part, name).tolist() for name in part.__slots__ if name != "offsets"]
        rows = list(zip(*columns, strict=True))
        found.append([rows[start:stop] for start, stop in zip(part.offsets, part.offsets[1:], strict=False)])
    return found


@settings(max_examples=60, deadline=None)
@given(users, st.integers(0, 4))
def test_the_state_is_what_the_events_say_however_they_are_split(
    parts: list[list[tuple[int, int, int]]], moment: int
) -> None:
    early = ragged([[entry for entry in part if entry[2] < moment] for part in parts])
    late = ragged([[entry for entry in part if entry[2] >= moment] for part in parts])
    found = plain(fold(*fold(*no_state(len(parts)), early), late))
    assert found == plain(fold(*no_state(len(parts)), ragged(parts)))
    for place, part in enumerate(parts):
        mine = sorted(part, key=lambda entry: entry[2])
        assert found[0][place] == [(row, grade, time) for row, grade, time in mine if grade > 0]
        expected = []
        for item in sorted({row for row, _, _ in mine}):
            grades = [grade for row, grade, _ in mine if row == item]
            times = [time for row, _, time in mine if row == item]
            positive = sum(grade > 0 for grade in grades)
            strongest = max(0, *grades)
            expected.append((item, positive, len(grades) - positive, strongest, times[0], times[-1]))
        assert found[1][place] == expected


def test_a_history_keeps_the_last_events() -> None:
    long = [(number % NUM_ITEMS, 1 + number % 2, number) for number in range(HISTORY_LENGTH + 30)]
    history, own = fold(*fold(*no_state(2), ragged([long[:90], []])), ragged([long[90:], long[:3]]))
    assert np.diff(history.offsets).tolist() == [HISTORY_LENGTH, 3]
    assert history.times.tolist() == [*range(30, HISTORY_LENGTH + 30), 0, 1, 2]
    assert own.counts.sum() == len(long) + 3


def test_states_of_groups_join_to_the_state_of_all() -> None:
    parts = [[(1, 1, 0), (2, -1, 1)], [], [(1, 2, 5)]]
    apart = joined_states([fold(*no_state(1), ragged([part])) for part in parts])
    assert plain(apart) == plain(fold(*no_state(3), ragged(parts)))
