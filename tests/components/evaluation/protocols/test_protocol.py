"""Who is asked, what is relevant, what is excluded."""

from __future__ import annotations

import numpy as np
import pytest

from components.evaluation.protocols.protocol import make_tasks
from feature_repo.dataset.repeats import Repeats
from tests.components.evaluation.logs import at, log

EVENTS = [
    (0, 1, 1.0, 1),  # user 0 clicked item 1,
    (0, 2, 2.0, 2),  # bought item 2,
    (1, 3, 3.0, 0),  # user 1 only searched,
    (3, 1, 4.0, -1),  # user 3 turned item 1 down
    (0, 1, 10.0, 2),  # test: user 0 buys item 1,
    (0, 2, 10.5, 1),  # clicks item 2 again,
    (0, 4, 11.0, 1),  # and clicks the new item 4, twice
    (0, 4, 11.5, 1),
    (1, 1, 10.0, 1),
    (1, 3, 10.0, -1),
    (2, 1, 12.0, 1),  # user 2 is new
    (3, 2, 12.0, 0),  # user 3 does nothing positive
]


def sets(task, which: str) -> dict[int, list[int]]:
    part = getattr(task, which)
    return {int(user): part.rows[part.offsets[i] : part.offsets[i + 1]].tolist() for i, user in enumerate(task.users)}


@pytest.mark.parametrize(
    ("repeats", "excluded", "relevant"),
    [("never", [1, 2], [4]), ("until-converted", [2], [1, 4]), ("always", [], [1, 2, 4])],
)
def test_own_items_ruled_out_are_neither_listed_nor_relevant(
    repeats: Repeats, excluded: list[int], relevant: list[int]
) -> None:
    tasks = make_tasks(log(EVENTS), at(10), at(12), repeats, 2)
    assert sets(tasks.test, "excluded") == {0: excluded, 1: []}
    assert sets(tasks.test, "relevant") == {0: relevant, 1: [1]}
    assert sets(tasks.cold_users, "relevant") == {2: [1]}
    assert sets(tasks.cold_items, "relevant") == {0: [4]}
    if repeats == "never":
        assert tasks.new_items is None
    else:
        assert tasks.new_items is not None
        assert sets(tasks.new_items, "relevant") == {0: [4], 1: [1]}
        assert sets(tasks.new_items, "excluded") == {0: [1, 2], 1: []}


def test_spans_hold_their_first_and_their_last_moment() -> None:
    tasks = make_tasks(
        log([(0, 0, 0.0, 1), (0, 1, 5.0, 1), (0, 2, 7.0, 1), (0, 3, 7.001, 1)]), at(5), at(7), "never", 1
    )
    assert sets(tasks.test, "relevant") == {0: [1, 2]}


def test_whatever_happens_after_the_start_leaves_exclusions_as_they_are() -> None:
    known = [event for event in EVENTS if event[2] < 10]
    later = [(user, row, day, 2) for user, row, day, _ in EVENTS if day >= 10]
    before = make_tasks(log(EVENTS), at(10), at(12), "never", 2).test
    after = make_tasks(log(known + later), at(10), at(12), "never", 2).test
    common = np.isin(after.users, before.users)
    assert {u: r for u, r in sets(after, "excluded").items() if u in sets(before, "excluded")} == sets(
        before, "excluded"
    )
    assert common.any()
