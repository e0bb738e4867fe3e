"""The users' own clocks: all ask at one moment, and nothing that is held out comes before it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluation.protocols.leave_one_out import leave_one_out
from components.evaluation.protocols.user_clock import Role, write_user_clock
from components.retrieval.towers import watched_span
from feature_repo.dataset.tables import PreparedTables
from tests.components.evaluation.protocols.test_leave_one_out import prepared


@pytest.mark.parametrize("role", ["rank", "validation"])
def test_everyone_asks_at_the_same_moment(tmp_path: Path, role: Role) -> None:
    prepared(tmp_path / "whole", "never")
    leave_one_out(tmp_path / "whole", tmp_path / "loo")
    told = write_user_clock(tmp_path / "loo", tmp_path / "clock", role)
    loo, made = PreparedTables.open(tmp_path / "loo"), PreparedTables.open(tmp_path / "clock")
    split = made.split
    moment = split.cutoff_time(role)
    assert watched_span(split, moment) == (moment, split.test_start)
    assert np.isclose(split.cuts(), moment, atol=1e-6, rtol=0).any()
    asked: dict[str, Any] = {}
    for row in loo.held_out.to_pylist():
        if row["role"] == role:
            asked.setdefault(row["user_id"], row)
    before, watched = defaultdict(list), {}
    for row in made.interactions.to_pylist():
        time = row["timestamp"].timestamp()
        if time < moment:
            before[row["user_id"]].append((row["item_id"], time))
        else:
            assert time == moment
            watched[row["user_id"]] = row["item_id"]
    assert watched == {user: row["item_id"] for user, row in asked.items()}
    assert told == {"events": sum(map(len, before.values())), "held_out": len(watched)}
    times = made.interactions["timestamp"].to_pylist()
    assert times == sorted(times)
    for user, row in asked.items():
        query = row["timestamp"].timestamp()
        expected = [
            (event["item_id"], event["timestamp"].timestamp() - query)
            for event in loo.interactions.to_pylist()
            if event["user_id"] == user and event["timestamp"].timestamp() < query
        ]
        assert [item for item, _ in before[user]] == [item for item, _ in expected]
        gaps = [time - moment for _, time in before[user]]
        assert gaps == pytest.approx([gap for _, gap in expected], abs=2e-6)
    assert before["u99"][-1][1] == pytest.approx(moment, abs=2e-6)  # asks right after the last event
    assert not made.num_rows["impressions"]
