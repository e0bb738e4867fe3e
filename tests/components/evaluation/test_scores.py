"""NDCG by relevant item, and a log whose day is decided by a handful of items."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from components.evaluation.bootstrap import Interval, Scores, resample
from components.evaluation.gate.gate import decide
from components.evaluation.metrics import per_query
from components.evaluation.protocols.log import EventLog
from components.evaluation.protocols.protocol import Task, make_task
from components.evaluation.scores import ndcg_scores
from tests.components.evaluation.logs import Taste, at, log, ragged

NUM_USERS = 1200


def task_of(events: EventLog, start: float, end: float) -> Task:
    return make_task(events, at(start), at(end), ragged([[]] * len(events.user_ids)))


def test_the_parts_of_a_query_add_up_to_its_ndcg() -> None:
    events = Taste(num_users=80, num_items=60).log()
    task = task_of(events, 14, 28)
    rng = np.random.default_rng(0)
    rows = np.stack([rng.permutation(60)[:30] for _ in range(len(task))]).astype(np.int32)
    rows[:, 25:] = -1
    scores = ndcg_scores({"a": rows}, task, events)
    owners = task.relevant.owners
    np.testing.assert_allclose(
        np.bincount(owners, scores.values["a"]), per_query(rows, task.relevant)["ndcg@20"], atol=1e-12
    )
    np.testing.assert_allclose(np.bincount(owners, scores.sizes), 1.0)
    assert scores.num_users == len(task)


def test_a_day_is_that_of_the_first_contact_after_the_query() -> None:
    events = log([(0, 0, 0, 1), (0, 1, 1.5, 0), (0, 1, 2.5, 1), (0, 1, 3.5, 1), (0, 2, 4, 1), (0, 0, 3, 1)])
    task = task_of(events, 1, 4)
    scores = ndcg_scores({"a": np.array([[1]], dtype=np.int32)}, task, events)
    assert scores.units["items"].tolist() == [0, 1, 2]
    assert scores.units["days"].tolist() == [2, 1, 2]  # the event at the end belongs to the last day


def test_requests_of_one_user_are_one_cluster() -> None:
    """Under rolling the codes of a log are requests. Copies of every request say nothing more about the users."""

    def lead(copies: int) -> Interval:
        rng = np.random.default_rng(0)
        taken = rng.integers(0, 40, NUM_USERS)
        requests = [(user * copies + copy, int(taken[user])) for user in range(NUM_USERS) for copy in range(copies)]
        events = log([event for code, row in requests for event in ((code, 50, 0.0, 1), (code, row, 1.5, 1))])
        ids = np.repeat([f"u{user}" for user in range(NUM_USERS)], copies).astype(object)
        events = replace(events, user_ids=ids)
        task = task_of(events, 1, 2)
        lists = {"popular": np.arange(20, 40), "funnel": np.arange(22)}
        rows = {name: np.tile(column.astype(np.int32), (len(task), 1)) for name, column in lists.items()}
        scores = ndcg_scores(rows, task, events)
        assert scores.num_users == NUM_USERS
        only_users = replace(scores, units={"users": scores.units["users"]})
        return resample(only_users).difference("funnel", "popular")

    once, thrice = lead(1), lead(3)
    assert thrice.mean == pytest.approx(once.mean)
    assert thrice.high - thrice.low == pytest.approx(once.high - once.low)


def decided_by_few(hot: list[int]) -> tuple[Scores, EventLog]:
    """Lists of two methods for a day on which six hot items take most clicks.

    Which items become hot is luck: the funnel lists three of them, popular the other three, and the rest of the
    catalogue is the same for both.
    """
    rng = np.random.default_rng(1)
    taken = np.where(rng.random(NUM_USERS) < 0.8, rng.choice(hot, NUM_USERS), rng.integers(6, 300, NUM_USERS))
    before = [(user, user % 300, 0.0, 1) for user in range(NUM_USERS)]
    clicks = [(user, int(row), 1.0 + user / (2 * NUM_USERS), 1) for user, row in enumerate(taken)]
    events = log(before + clicks, num_items=300)
    task = task_of(events, 1, 2)
    rest = list(range(6, 20))
    lists = {
        name: np.tile(np.array(first + rest, dtype=np.int32), (len(task), 1))
        for name, first in (("popular", [0, 1, 2]), ("funnel", [3, 4, 5]))
    }
    return ndcg_scores(lists, task, events), events


@pytest.mark.parametrize("hot", [[0, 1, 3, 3, 3, 4, 4, 5], [0, 0, 0, 1, 1, 2, 3, 4]])
def test_a_handful_of_items_is_no_strong_evidence(hot: list[int]) -> None:
    scores, _ = decided_by_few(hot)
    alone = decide(Scores(scores.values, scores.sizes, {"users": scores.units["users"]}))
    assert alone.evidence == "strong"
    assert alone.differences["popular"].unit == "users"
    decision = decide(scores)
    assert decision.evidence == "weak"
    assert not decision.release
    assert decision.differences["popular"].unit == "items"
    assert "interval over items" in decision.sentence


def test_a_lead_on_many_items_is_strong_evidence() -> None:
    events = Taste(num_users=600, num_items=200).log()
    task = task_of(events, 14, 28)
    fits = np.array([np.flatnonzero(np.arange(200) % 4 == user % 4)[:40] for user in task.users], dtype=np.int32)
    other = np.array([np.flatnonzero(np.arange(200) % 4 == (user + 1) % 4)[:40] for user in task.users], dtype=np.int32)
    decision = decide(ndcg_scores({"popular": other, "funnel": fits}, task, events))
    assert decision.release
    assert decision.evidence == "strong"
