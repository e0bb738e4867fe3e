"""Rolling: which requests are asked, what each knows, and what a baseline may learn at each refit."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluation.baselines.popular import Popular, PopularConfig
from components.evaluation.protocols.plan import Plan
from components.evaluation.protocols.rolling import MOST_OF_A_USER, RequestLimits, Rolling, evenly
from components.evaluation.protocols.setting import Setting
from feature_repo.dataset.tables import PreparedTables
from tests.kit.prepared_tables import START, config, write_prepared

DAYS = 30
DAY = 86_400


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> PreparedTables:
    """Clicks by session: u0 comes 6 times a day, u1 every second day, and u2 for the first time in the test span."""
    rng = np.random.default_rng(0)
    visits = [("u0", day + part / 6) for day in range(DAYS) for part in range(6)]
    visits += [("u1", float(day)) for day in range(0, DAYS, 2)] + [("u2", DAYS - 3.0), ("u2", DAYS - 2.5)]
    rows: list[dict[str, Any]] = []
    for number, (user, day) in enumerate(visits):
        for later in range(3):
            time = START + timedelta(days=day, minutes=later)
            item = f"i{rng.integers(40):02d}"
            rows.append(
                {"user_id": user, "item_id": item, "event_type": "click", "timestamp": time, "session_id": f"s{number}"}
            )
    settings = config(recommend={"repeats": "always"}, split={"validation_days": 5, "test_days": 5})
    return PreparedTables.open(write_prepared(tmp_path_factory.mktemp("log"), settings, interactions=rows))


def opened(tables: PreparedTables, limits: RequestLimits | None = None) -> Rolling:
    return Rolling.open(tables, Setting.open(tables), limits or RequestLimits())


def test_at_most_ten_requests_of_a_user_are_spread_over_the_span(tables: PreparedTables) -> None:
    asked = opened(tables).test
    split = tables.split
    of_user = Counter(query.user_id for query in asked.queries)
    assert of_user["u0"] == MOST_OF_A_USER
    mine = asked.times[[query.user_id == "u0" for query in asked.queries]] / 1e6
    assert mine.min() < split.test_start + DAY
    assert mine.max() > split.log_end - 2 * DAY
    assert (np.diff(mine) < DAY).all()
    assert (asked.times / 1e6 <= split.log_end - DAY).all()
    assert (np.diff(asked.times) >= 0).all()


def test_a_training_asks_fewer_requests_evenly(tables: PreparedTables) -> None:
    whole = opened(tables, RequestLimits(of_a_user=1_000)).test
    few = opened(tables, RequestLimits(of_a_user=3)).test
    assert Counter(query.user_id for query in few.queries).most_common(1) == [("u0", 3)]
    assert set(few.times.tolist()) <= set(whole.times.tolist())
    mine = few.times[[query.user_id == "u0" for query in few.queries]]
    assert np.diff(mine).min() > DAY * 1_000_000
    assert len(opened(tables, RequestLimits(requests=4)).test.queries) == 4


def test_a_request_knows_the_past_and_is_right_about_a_day(tables: PreparedTables) -> None:
    rolling = opened(tables)
    asked, base = rolling.test, rolling.setting.log
    task = rolling.tasks().test
    for place, request in enumerate(task.users.tolist()):
        user, moment = asked.queries[request].user_id, asked.times[request]
        assert asked.log.user_ids[request] == user
        mine = base.where(base.user_ids[base.users] == user)
        inside = (mine.times >= moment) & (mine.times < moment + DAY * 1_000_000)
        assert set(task.relevant.take(np.array([place])).rows.tolist()) == set(mine.rows[inside].tolist())
        known = asked.known.where(asked.known.users == request)
        assert known.times.tolist() == mine.times[mine.times < moment].tolist()
    cold = rolling.tasks().cold_users
    assert {asked.queries[request].user_id for request in cold.users} == {"u2"}
    assert len(cold) == 1  # the second request of u2 has a history


def test_a_refit_learns_from_its_past_and_histories_end_at_the_request(tables: PreparedTables) -> None:
    plan = Plan.of_requests(opened(tables))
    assert plan.requests is not None
    assert plan.test.place is not None
    starts = [training.now for training in plan.test.trainings]
    assert starts == plan.requests.cuts.tolist()
    for request, fit in enumerate(plan.test.place.tolist()):
        training = plan.test.trainings[fit]
        assert training.fit.times.max() < training.now <= plan.requests.times[request]
        assert training.history.times[training.history.users == request].max(initial=0) < training.now


def test_popularity_is_counted_up_to_the_last_cut(tables: PreparedTables) -> None:
    plan = Plan.of_requests(opened(tables))
    assert plan.requests is not None
    base = plan.setting.log
    lists = plan.test.fit(Popular, PopularConfig(half_life_days=None)).lists(
        plan.tasks.test.users, plan.tasks.test.excluded
    )
    for request, rows in zip(plan.tasks.test.users.tolist(), lists, strict=True):
        cut = plan.requests.cuts[plan.requests.cuts <= plan.requests.times[request]].max()
        counts = np.bincount(base.before(int(cut)).rows, minlength=len(base.item_ids))
        assert counts[rows[rows >= 0]].tolist() == sorted(counts, reverse=True)


def test_places_are_spread_evenly() -> None:
    assert evenly(3, 10).tolist() == [0, 1, 2]
    assert evenly(0, 10).tolist() == []
    assert evenly(101, 3).tolist() == [0, 50, 100]


def test_a_span_shorter_than_two_days_is_asked_whole(tmp_path: Path) -> None:
    rows = [
        {"user_id": f"u{n % 5}", "item_id": f"i{n % 7}", "event_type": "click", "timestamp": START + timedelta(hours=n)}
        for n in range(60)
    ]
    rolling = opened(PreparedTables.open(write_prepared(tmp_path / "short", config(), interactions=rows)))
    assert rolling.test.horizon < DAY * 1_000_000
    assert len(rolling.test.queries) > 0
