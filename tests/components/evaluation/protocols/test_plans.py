"""Which protocol decides on a release, by what the log holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluation.gate.gate import ENOUGH_USERS
from components.evaluation.protocols.leave_one_out import leave_one_out
from components.evaluation.protocols.plans import Plans, has_times
from components.evaluation.search import Absent, fit_baselines, refit_baselines
from feature_repo.dataset.tables import PreparedTables
from tests.components.evaluation.logs import log
from tests.kit.prepared_tables import START, config, write_prepared

DAYS = 30

Shop = Callable[..., PreparedTables]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Users who click three items of their taste every third day, at an hour of the day or by date only."""
    made: dict[tuple[int, bool], PreparedTables] = {}

    def of(num_users: int, *, dates: bool = False) -> PreparedTables:
        if (num_users, dates) not in made:
            rng = np.random.default_rng(0)
            rows: list[dict[str, Any]] = []
            for user in range(num_users):
                for day in range(user % 3, DAYS, 3):
                    for click in range(3):
                        time = START + timedelta(days=day, minutes=0 if dates else 60 * (user % 20) + click)
                        item = f"i{(user + 7 * int(rng.integers(20))) % 140:03d}"
                        rows.append(
                            {"user_id": f"u{user:03d}", "item_id": item, "event_type": "click", "timestamp": time}
                        )
            settings = config(recommend={"repeats": "always"}, split={"validation_days": 5, "test_days": 5})
            folder = tmp_path_factory.mktemp("shop")
            made[num_users, dates] = PreparedTables.open(write_prepared(folder, settings, interactions=rows))
        return made[num_users, dates]

    return of


def test_rolling_decides_and_temporal_is_reported(shop: Shop) -> None:
    plans = Plans.open(shop(ENOUGH_USERS))
    assert plans.deciding.protocol == "rolling"
    assert [plan.protocol for plan in plans.others] == ["temporal"]
    assert plans.deciding.num_users == ENOUGH_USERS
    assert f"{ENOUGH_USERS} users" in plans.reason


def test_with_too_few_users_temporal_decides_and_the_reason_names_them(shop: Shop) -> None:
    plans = Plans.open(shop(ENOUGH_USERS - 1))
    assert [plan.protocol for plan in plans.all] == ["temporal"]
    assert f"{ENOUGH_USERS - 1} users" in plans.reason
    assert f"{ENOUGH_USERS} are needed" in plans.reason


def test_a_log_of_dates_has_no_requests_at_their_own_times(shop: Shop) -> None:
    plans = Plans.open(shop(ENOUGH_USERS, dates=True))
    assert [plan.protocol for plan in plans.all] == ["temporal"]
    assert "dates" in plans.reason


@pytest.mark.parametrize(
    ("times_of_day", "expected"), [([0.0], False), ([0.25], False), ([0.25, 0.29], False), ([0.1, 0.2, 0.3], True)]
)
def test_times_of_the_day_are_told_from_dates_of_any_time_zone(times_of_day: list[float], expected: bool) -> None:
    events = log([(0, 0, day + time, 1) for day in range(9) for time in times_of_day])
    assert has_times(events) is expected


@pytest.mark.parametrize("protocol", ["temporal", "rolling"])
def test_a_single_protocol_is_measured_where_it_is_asked_for(shop: Shop, protocol: Any) -> None:
    plans = Plans.open(shop(ENOUGH_USERS - 1), protocol)
    assert [plan.protocol for plan in plans.all] == [protocol]
    assert plans.reason == ""


def test_held_out_items_have_one_protocol(shop: Shop, tmp_path: Path) -> None:
    leave_one_out(shop(ENOUGH_USERS).path("items").parent, tmp_path)
    plans = Plans.open(PreparedTables.open(tmp_path))
    assert [plan.protocol for plan in plans.all] == ["leave-one-out"]


def test_a_second_protocol_takes_the_settings_of_the_first(shop: Shop) -> None:
    """Fitted with the same settings on the same data, a method lists the same items."""
    temporal = Plans.open(shop(ENOUGH_USERS), "temporal").deciding
    chosen = fit_baselines(temporal.validation, temporal.validation_task, temporal.test)
    again = refit_baselines(chosen, temporal.test)
    assert list(again) == list(chosen)
    task = temporal.tasks.test
    for name, method in again.items():
        assert not isinstance(method, Absent)
        expected = chosen[name].method.lists(task.users, task.excluded)  # type: ignore[union-attr]
        np.testing.assert_array_equal(method.lists(task.users, task.excluded), expected, err_msg=name)
