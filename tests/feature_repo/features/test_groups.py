"""Feature groups: what they share is equal, they follow the data, and a new group is one class in a tuple."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from components.features.build import connect, read_log
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.choice import choose_features
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.cross import CROSS_GROUPS
from feature_repo.features.groups.facts import DatasetFacts
from feature_repo.features.groups.items import ITEM_GROUPS
from feature_repo.features.groups.requests import REQUEST_GROUPS
from feature_repo.features.groups.snapshot_group import Activity, SnapshotGroup, Windows
from feature_repo.features.groups.users import USER_GROUPS
from feature_repo.features.snapshots.assembly import active_groups, snapshot_rows
from feature_repo.features.snapshots.calendar import Calendar, Column, LogTables
from feature_repo.features.snapshots.intervals import attributes
from feature_repo.features.snapshots.labels import outcomes
from tests.kit import random_log
from tests.kit.prepared_tables import config, event, write_prepared

SOURCES = ("near", "popular")


World = tuple[LogTables, Calendar, FeatureSet]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("world")
    tables = PreparedTables.open(random_log.write(directory, random_log.rows(seed=2, num_events=150)))
    connection = connect(directory)
    yield read_log(connection, tables), Calendar.of(tables.split), choose_features(tables, SOURCES)
    connection.disconnect()


def _activity(world: World, key: str, feature_set: FeatureSet) -> Activity:
    log, calendar, _ = world
    events = log.interactions.filter(log.interactions.user_id.notnull() & log.interactions.item_id.notnull())
    shown = outcomes(log.impressions, feature_set.objectives, calendar)
    items = attributes(log.items, "item_id", calendar)
    return Activity(key, calendar.with_day(events), shown, items, calendar, feature_set)


@pytest.mark.parametrize(("key", "groups"), [("user_id", USER_GROUPS), ("item_id", ITEM_GROUPS)])
def test_what_groups_share_they_define_alike(world: World, key: str, groups: Sequence[SnapshotGroup]) -> None:
    """A sum, window or prior of one name is computed once, so that it must not depend on which group states it."""
    activity = _activity(world, key, world[2].model_copy(update={"item_windows": (3, 6)}))
    for group in groups:
        marked = group.marked(activity)
        activity = Activity(key, marked, activity.shown, activity.items, activity.calendar, activity.feature_set)
    sums = {name: column for group in groups for name, column in group.event_sums(activity).items()}
    rows = activity.events.group_by(key, "day").agg(
        **sums,
        **{name: activity.events.count() for name in ("impressions", "clicks", "repeats", "users")},
        **{f"label_{name}": activity.events.count() for name in activity.objectives},
    )
    over = Windows(rows, key, activity.calendar)
    steps: dict[str, Callable[[SnapshotGroup], Mapping[str, Any]]] = {
        "event_sums": lambda group: group.event_sums(activity),
        "impression_sums": lambda group: group.impression_sums(activity),
        "windows": lambda group: group.windows(over, activity.feature_set),
        "priors": lambda group: group.priors(activity),
    }
    num_shared = 0
    for step, made in steps.items():
        found: dict[str, Any] = {}
        for group in groups:
            for name, expression in made(group).items():
                num_shared += name in found
                assert found.setdefault(name, expression).equals(expression), (step, name)
    assert num_shared >= 3


def test_every_column_has_one_group() -> None:
    complete = DatasetFacts.complete(("click", "convert"))
    for groups in (USER_GROUPS, ITEM_GROUPS, CROSS_GROUPS):
        names = [name for group in groups for name in group.columns(complete)]
        assert len(set(names)) == len(names)
    names = [name for group in REQUEST_GROUPS for name in group.columns]
    assert len(set(names)) == len(names)


def test_groups_without_data_are_left_out(tmp_path: Path) -> None:
    events = [event(number, price=None) for number in range(30)]
    tables = PreparedTables.open(write_prepared(tmp_path, config(), interactions=events))
    feature_set = choose_features(tables, SOURCES)
    active = active_groups(USER_GROUPS, feature_set.user_numeric, feature_set.objectives)
    kinds = {type(group).__name__ for group in active}
    assert kinds == {"CountsGroup", "ConversionGroup", "UserActivityGroup"}
    stored = active_groups(ITEM_GROUPS, (), feature_set.objectives)
    assert [group.stored for group in stored] == [("created_at",), ("price",), ("in_stock", "regions", "min_age")]


class _FirstEventGroup(SnapshotGroup):
    """Days since a user's first event: what a new feature costs, but for its line in the tuple."""

    extremes: Mapping[str, str] = {"first_us": "min"}

    def columns(self, facts: DatasetFacts) -> tuple[str, ...]:
        return ("days_since_first_event",)

    def event_sums(self, activity: Activity) -> dict[str, Column]:
        return {"first_us": activity.events.time_us.min()}

    def windows(self, over: Windows, feature_set: FeatureSet) -> dict[str, Column]:
        return {"first_event_at": over.so_far(over.rows.first_us.min()).cast("float64") / 1e6}


def test_a_new_feature_is_one_group_in_the_tuple(world: World) -> None:
    log, calendar, chosen = world
    names = (*chosen.user_numeric, "days_since_first_event")
    feature_set = chosen.model_copy(update={"user_numeric": names})
    assert feature_set.user_ages["days_since_first_event"] == "first_event_at"
    intervals = attributes(log.users, "user_id", calendar)
    rows = snapshot_rows(
        (*USER_GROUPS, _FirstEventGroup()), names, _activity(world, "user_id", feature_set), intervals, ()
    )
    found = rows.select("first_event_at", "last_event_at", "num_sessions_total").to_pyarrow().to_pylist()
    active = [row for row in found if row["first_event_at"] is not None]
    assert len(active) > 50
    assert all(row["first_event_at"] <= row["last_event_at"] for row in active)
    assert any(row["first_event_at"] < row["last_event_at"] for row in active)


def test_impressions_without_columns_still_make_rows(world: World) -> None:
    """A feature set older than the impressions of its log: the days on which users were shown something count."""
    log, calendar, chosen = world
    intervals = attributes(log.users, "user_id", calendar)

    def days(names: tuple[str, ...]) -> set[tuple[str, int]]:
        feature_set = chosen.model_copy(update={"user_numeric": names})
        rows = snapshot_rows(USER_GROUPS, names, _activity(world, "user_id", feature_set), intervals, ())
        return {(row["user_id"], row["day"]) for row in rows.select("user_id", "day").to_pyarrow().to_pylist()}

    bare = tuple(name for name in chosen.user_numeric if "impressions" not in name and name != "ctr_30d")
    assert days(bare) == days(chosen.user_numeric)


def test_serving_needs_no_ibis() -> None:
    """The serving image has no Ibis, and the transforms import groups."""
    code = "import sys; import inference.recommender; assert 'ibis' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
