"""Leave-one-out: what is held out, what is dropped, and that nothing of it is left to learn from."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluation.protocols.leave_one_out import FEWEST_EVENTS, hold_out, leave_one_out
from components.evaluation.protocols.log import EventLog
from components.evaluation.protocols.setting import Setting
from feature_repo.dataset.tables import PreparedTables, item_universe
from feature_repo.errors import DatasetError
from tests.components.evaluation.logs import log
from tests.kit.prepared_tables import START, config, event, write_prepared


def test_the_last_event_is_test_and_the_last_but_one_validation() -> None:
    events = log([(0, 1, 1, 1), (0, 2, 2, 1), (0, 3, 3, 1), (1, 1, 1, 1), (1, 2, 2, 1), (0, 4, 3, 1), (0, 9, 4, 0)])
    held = hold_out(events, distinct=False)
    assert events.rows[held.test].tolist() == [4]  # the tie of day 3 goes by file order; day 4 is no positive
    assert events.rows[held.validation].tolist() == [3]


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
    setting = Setting.open(made)
    assert setting.protocol == "leave-one-out"
    assert setting.fit_until == setting.validation_start
    whole, moved = read(source), read(made)
    first, second = setting.validation_start / 1e6, setting.test_start / 1e6
    history, validation, test = defaultdict(list), {}, {}
    for user, item, time, grade in moved:
        if time >= second:
            assert user not in test
            test[user] = item
        elif time >= first:
            assert user not in validation
            validation[user] = item
        else:
            history[user].append((item, time, grade))
    assert set(test) == set(validation)
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
        assert (validation[user], test[user]) == (sequence[-2][0], sequence[-1][0])
        cut = sequence[-2][1]
        assert all(time < cut for _, time, _ in history[user])
        assert len(history[user]) == sum(
            1 for who, item, time, _ in whole if who == user and item in kept and time < cut
        )
        assert all(time < cut and item not in (validation[user], test[user]) for item, time in impressions[user])
        if repeats != "always":
            positives = {item for item, _, grade in history[user] if grade > 0}
            assert not positives & {validation[user], test[user]}


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


def test_moved_rows_are_tied_to_no_session_and_the_spans_are_cuts(tmp_path: Path) -> None:
    leave_one_out(prepared(tmp_path / "whole", "always"), tmp_path / "loo")
    made = PreparedTables.open(tmp_path / "loo")
    times = np.array([time.timestamp() for time in made.interactions["timestamp"].to_pylist()])
    late = times >= made.split.validation_start
    assert set(np.array(made.interactions["session_id"].to_pylist(), dtype=object)[late]) == {None}
    assert set(np.array(made.interactions["request_id"].to_pylist(), dtype=object)[late]) == {None}
    for bound in (made.split.rank_start, made.split.validation_start, made.split.test_start):
        assert np.isclose(made.split.cuts(), bound, atol=1e-6, rtol=0).any()
    assert (np.diff(times) >= 0).all()
    assert made.split.rank_start < times[~late].max() < made.split.validation_start


@pytest.mark.parametrize(("repeats", "excluded"), [("never", True), ("until-converted", True), ("always", False)])
def test_items_seen_in_training_are_excluded_unless_all_may_come_again(
    tmp_path: Path, repeats: str, excluded: bool
) -> None:
    leave_one_out(prepared(tmp_path / "whole", repeats), tmp_path / "loo")
    setting = Setting.open(PreparedTables.open(tmp_path / "loo"))
    task = setting.tasks().test
    assert (task.relevant.counts == 1).all()
    known: EventLog = setting.log.before(setting.test_start).positives
    own = {(user, row) for user, row in zip(known.users.tolist(), known.rows.tolist(), strict=True)}
    owners = task.users[task.excluded.owners]
    banned = set(zip(owners.tolist(), task.excluded.rows.tolist(), strict=True))
    assert banned == ({pair for pair in own if pair[0] in set(task.users.tolist())} if excluded else set())
    training = setting.training("test")
    assert training.fit.times.max() < setting.validation_start
    assert len(training.history) == len(training.fit) + len(task)


def test_a_log_without_enough_events_is_refused_in_a_sentence(tmp_path: Path) -> None:
    rows = [{"user_id": "u1", "item_id": "i1", "event_type": "click", "timestamp": START}]
    with pytest.raises(DatasetError, match="3 positive events"):
        leave_one_out(write_prepared(tmp_path / "whole", config(), interactions=rows), tmp_path / "loo")
