"""Leave-one-out: what is held out, what is dropped, and that nothing of it is left to learn from."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluation.protocols.leave_one_out import (
    FEWEST_EVENTS,
    MOST_CUTS,
    hold_out,
    leave_one_out,
    successive,
)
from components.evaluation.protocols.log import EventLog
from components.evaluation.protocols.setting import Setting
from components.features.build import build_features
from feature_repo.dataset.tables import PreparedTables, item_universe
from feature_repo.errors import DatasetError
from inference.feature_store.historical import HistoricalFeatures
from tests.components.evaluation.logs import log
from tests.kit.prepared_tables import START, config, event, write_prepared

ROLES = ("rank", "validation", "test")


def test_the_last_event_is_test_and_the_last_but_one_validation() -> None:
    events = log([(0, 1, 1, 1), (0, 2, 2, 1), (0, 3, 3, 1), (1, 1, 1, 1), (1, 2, 2, 1), (0, 4, 3, 1), (0, 9, 4, 0)])
    held = hold_out(events, distinct=False)
    assert events.rows[held.test].tolist() == [4]  # the tie of day 3 goes by file order; day 4 is no positive
    assert events.rows[held.validation].tolist() == [3]


def test_targets_are_at_most_half_of_the_other_items() -> None:
    events = log([(user, row, row, 1) for user in range(5) for row in range(3 + user)])
    held = hold_out(events, distinct=True)
    found = [(user, row) for user, row in zip(events.users[held.targets], events.rows[held.targets], strict=True)]
    assert sorted(found) == [(1, 1), (2, 2), (3, 2), (3, 3), (4, 3), (4, 4)]


def test_items_are_counted_once_where_none_may_come_again() -> None:
    events = log([(0, 1, 1, 1), (0, 2, 2, 1), (0, 3, 3, 1), (0, 3, 4, 2), (0, 1, 5, 1)])
    held = hold_out(events, distinct=True)
    assert (events.rows[held.validation].tolist(), events.rows[held.test].tolist()) == ([2], [3])
    again = hold_out(events, distinct=False)
    assert (events.rows[again.validation].tolist(), events.rows[again.test].tolist()) == ([3], [1])


def prepared(directory: Path, repeats: str, seed: int = 0) -> Path:
    """Random clicks, purchases, returns and the impressions they came from; u99 has two events, i98 and i99 few."""
    rng = random.Random(seed)
    settings = config(recommend={"repeats": repeats}, split={"validation_days": 3, "test_days": 3})
    interactions: list[dict[str, Any]] = []
    impressions: list[dict[str, Any]] = []

    def add(user: str, item: str, hours: float) -> None:
        common = {
            "user_id": user,
            "item_id": item,
            "session_id": f"{user}-{hours // 48}",
            "request_id": f"r{len(interactions)}",
        }
        time = START + timedelta(hours=hours)
        kind = rng.choice(("click", "click", "purchase", "return", "search"))
        impressions.append({**common, "timestamp": time - timedelta(minutes=1), "label_click": int(kind == "click")})
        interactions.append({**common, "event_type": kind, "timestamp": time})

    for number in range(600):
        add(f"u{number % 23}", f"i{rng.randrange(15)}", rng.uniform(0, 24 * 30))
    for hours in (10, 500):
        add("u99", "i1", hours)
    for item in ("i98", "i99"):
        add("u1", item, 300)
    items = [{"item_id": f"i{number}"} for number in (*range(17), 98, 99)]
    return write_prepared(directory, settings, interactions=interactions, impressions=impressions, items=items)


@pytest.mark.parametrize("repeats", ["never", "until-converted", "always"])
def test_nothing_of_what_is_held_out_is_left_behind(tmp_path: Path, repeats: str) -> None:
    source = PreparedTables.open(prepared(tmp_path / "whole", repeats))
    told = leave_one_out(tmp_path / "whole", tmp_path / "loo")
    made = PreparedTables.open(tmp_path / "loo")
    assert made.holds_out
    assert not source.holds_out
    whole = read(source)
    history = defaultdict(list)
    for user, item, time, grade in read(made):
        history[user].append((item, time, grade))
    held: dict[str, dict[str, list[tuple[str, float]]]] = {role: defaultdict(list) for role in ROLES}
    for row in made.held_out.to_pylist():
        held[row["role"]][row["user_id"]].append((row["item_id"], row["timestamp"].timestamp()))
    test = held["test"]
    assert set(test) == set(held["validation"]) == set(held["rank"])
    assert told["users"] == len(test) > 15
    assert "u99" not in test
    by_item: dict[str, int] = defaultdict(int)
    for _, item, _, grade in whole:
        by_item[item] += grade > 0
    kept = {item for item, count in by_item.items() if count >= FEWEST_EVENTS}
    assert set(item_universe(made)) == kept
    impressions = defaultdict(list)
    for user, item, time in zip(
        *(made.impressions[name].to_pylist() for name in ("user_id", "item_id", "timestamp")), strict=True
    ):
        impressions[user].append((item, time.timestamp()))
    for user in test:
        sequence = [(item, time) for who, item, time, grade in whole if who == user and grade > 0 and item in kept]
        if repeats != "always":
            firsts = dict(reversed(sequence))
            sequence = sorted(firsts.items(), key=lambda pair: pair[1])
        targets = held["rank"][user]
        assert [*targets, *held["validation"][user], *test[user]] == sequence[-2 - len(targets) :]
        assert len(targets) == (len(sequence) - 2) // 2  # few users, so that each has as many as it may
        cut = sequence[-2][1]
        assert all(time < cut for _, time, _ in history[user])
        assert {(item, time) for item, time in targets} <= {(item, time) for item, time, _ in history[user]}
        assert len(history[user]) == sum(
            1 for who, item, time, _ in whole if who == user and item in kept and time < cut
        )
        unknown = (held["validation"][user][0][0], test[user][0][0])
        assert all(time < cut and item not in unknown for item, time in impressions[user])
        if repeats != "always":
            positives = {item for item, _, grade in history[user] if grade > 0}
            assert not positives & set(unknown)


def read(tables: PreparedTables) -> list[tuple[str, str, float, int]]:
    columns = [tables.interactions[name].to_pylist() for name in ("user_id", "item_id", "timestamp", "grade")]
    return [(user, item, time.timestamp(), grade) for user, item, time, grade in zip(*columns, strict=True)]


def test_an_impression_does_not_know_a_dropped_event(tmp_path: Path) -> None:
    """u0 takes i3 (validation) and i4 (test) last, and returns to i0 before them and to i1 after them."""
    rows = [event(number, user_id=f"u{1 + number % 6}", item_id=f"i{number % 5}") for number in range(60)]
    taken = {0: "i0", 1: "i1", 2: "i2", 4: "i0", 10: "i3", 11: "i4", 20: "i1"}
    for number, (hours, item) in enumerate(taken.items()):
        request = "r" if hours in (4, 20) else None
        time = START + timedelta(hours=hours)
        rows.append(event(100 + number, user_id="u0", item_id=item, timestamp=time, request_id=request))
    slate = {"user_id": "u0", "request_id": "r", "timestamp": START + timedelta(hours=3), "label_click": 1}
    shown = [{**slate, "item_id": item} for item in ("i0", "i1", "i2")]
    tables = write_prepared(tmp_path, config(), interactions=rows, impressions=shown)
    leave_one_out(tables, tmp_path / "moved")
    made = PreparedTables.open(tmp_path / "moved")
    assert sorted(made.impressions["item_id"].to_pylist()) == ["i0", "i2"]


def test_events_at_the_same_time_follow_each_other(tmp_path: Path) -> None:
    """A basket of one moment keeps its order: the history of its last line holds the lines before."""
    users = np.array([0, 0, 0, 0, 0, 1, 1, 2])
    times = np.array([5, 5, 5, 6, 6, 6, 9, 9])
    assert successive(users, times).tolist() == [5, 6, 7, 8, 9, 6, 9, 9]
    basket = [event(n, user_id=f"u{n // 5}", item_id=f"i{n % 5}", timestamp=START) for n in range(25)]
    last = event(99, user_id="u9", item_id="i0", timestamp=START + timedelta(days=400))
    tables = write_prepared(tmp_path / "whole", config(), interactions=[*basket, last])
    leave_one_out(tables, tmp_path / "loo")
    build_features(tmp_path / "loo", tmp_path / "features")
    held = PreparedTables.open(tmp_path / "loo").held_out.to_pylist()
    with HistoricalFeatures(tmp_path / "features") as reader:
        for row, length in (("rank", 2), ("validation", 3), ("test", 4)):
            asked = next(entry for entry in held if entry["role"] == row and entry["user_id"] == "u3")
            history = reader.users(["u3"], np.array([asked["timestamp"].timestamp()])).history
            assert history.rows.tolist() == list(range(length))
            assert asked["item_id"] == f"i{length}"


def test_cuts_are_few_and_none_is_later_than_the_log(tmp_path: Path) -> None:
    rows = [event(n, timestamp=START + timedelta(days=n)) for n in range(400)]
    leave_one_out(write_prepared(tmp_path / "whole", config(), interactions=rows), tmp_path / "loo")
    split = PreparedTables.open(tmp_path / "loo").split
    assert 32 <= len(split.cuts()) <= MOST_CUTS
    assert split.step % 86_400 == 0
    assert split.log_end < split.validation_start == split.test_start


@pytest.mark.parametrize(("repeats", "excluded"), [("never", True), ("until-converted", True), ("always", False)])
def test_items_seen_in_training_are_excluded_unless_all_may_come_again(
    tmp_path: Path, repeats: str, excluded: bool
) -> None:
    leave_one_out(prepared(tmp_path / "whole", repeats), tmp_path / "loo")
    setting = Setting.open(PreparedTables.open(tmp_path / "loo"))
    assert setting.held_out is not None
    task = setting.tasks().test
    assert (task.relevant.counts == 1).all()
    held = setting.log.where(setting.held_out["test"])
    assert task.times.tolist() == held.times[np.argsort(held.users)].tolist()
    known: EventLog = setting.log.where(~setting.held_out["test"]).positives
    own = {(user, row) for user, row in zip(known.users.tolist(), known.rows.tolist(), strict=True)}
    owners = task.users[task.excluded.owners]
    banned = set(zip(owners.tolist(), task.excluded.rows.tolist(), strict=True))
    assert banned == ({pair for pair in own if pair[0] in set(task.users.tolist())} if excluded else set())
    training, earlier = setting.training("test"), setting.training("validation")
    assert len(training.history) == len(training.fit) + len(task)
    assert len(earlier.history) == len(earlier.fit) == len(training.fit)
    assert training.asked is not None
    for user, time in zip(task.users, task.times, strict=True):
        mine, moved = known.times[known.users == user], training.history.times[training.history.users == user]
        assert training.asked[user] == time > mine.max()
        assert (training.now - moved).tolist() == (time - mine).tolist()


def test_a_log_without_enough_events_is_refused_in_a_sentence(tmp_path: Path) -> None:
    rows = [{"user_id": "u1", "item_id": "i1", "event_type": "click", "timestamp": START}]
    with pytest.raises(DatasetError, match="3 positive events"):
        leave_one_out(write_prepared(tmp_path / "whole", config(), interactions=rows), tmp_path / "loo")
