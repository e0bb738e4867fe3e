"""Snapshots against a plain reading of the log, and their one promise: nothing of the future in them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow.parquet as pq
import pytest

from components.features.build import build_features, connect, read_log
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.choice import choose_features
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.snapshots.calendar import Calendar
from feature_repo.features.snapshots.history import user_history
from feature_repo.features.snapshots.items import item_stats
from feature_repo.features.snapshots.users import user_stats
from feature_repo.features.state import HISTORY_LENGTH
from tests.kit import random_log
from tests.kit.prepared_tables import START, config, write_prepared
from tests.kit.prepared_tables import event as make_event

SOURCES = ("near", "popular")

DAY = 86400.0
Snapshots = dict[str, dict[tuple[str, float], dict[str, Any]]]


def _built(directory: Path, tables: dict[str, list[dict[str, Any]]], since: float | None = None) -> Snapshots:
    random_log.write(directory / "tables", tables)
    build_features(directory / "tables", directory / "features", since)
    return _read(FeaturesDirectory(directory / "features").snapshots)


def _read(snapshots: Path) -> Snapshots:
    found: Snapshots = {}
    for name, key in (("user_stats", "user_id"), ("user_history", "user_id"), ("item_stats", "item_id")):
        rows = pq.read_table(snapshots / f"{name}.parquet").to_pylist()
        found[name] = {(row[key], row["event_timestamp"].timestamp()): row for row in rows}
    return found


@pytest.fixture(scope="module")
def tables() -> dict[str, list[dict[str, Any]]]:
    return random_log.rows(seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("snapshots")


@pytest.fixture(scope="module")
def snapshots(folder: Path, tables: dict[str, list[dict[str, Any]]]) -> Snapshots:
    return _built(folder, tables)


class Log:
    """The log as a list, read without any cleverness."""

    def __init__(self, tables: dict[str, list[dict[str, Any]]], stamp: float) -> None:
        grades = random_log.SETTINGS.event_grades
        self.stamp = stamp
        events = sorted(tables["interactions"], key=lambda row: row["timestamp"])
        self.events = [{**row, "grade": grades.get(row["event_type"], 0)} for row in events if self._before(row)]
        self.shown = [row for row in tables["impressions"] if self._before(row)]
        self.tables = tables

    def _before(self, row: dict[str, Any]) -> bool:
        return bool(row["timestamp"].timestamp() < self.stamp)

    def within(self, rows: list[dict[str, Any]], days: int, **match: Any) -> list[dict[str, Any]]:
        """Rows of the last days before the cut."""
        start = round(self.stamp, 3) - days * DAY  # the last stamp is a microsecond late
        return [
            row
            for row in rows
            if row["timestamp"].timestamp() >= start and all(row[name] == value for name, value in match.items())
        ]

    def content(self, table: str, key: str, entity: str) -> dict[str, Any]:
        valid = [
            row
            for row in self.tables[table]
            if row[key] == entity and (row.get("valid_from") is None or row["valid_from"].timestamp() <= self.stamp)
        ]
        return valid[-1] if valid else {}


def _positive(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["grade"] > 0]


def _sampled(found: dict[tuple[str, float], dict[str, Any]]) -> list[tuple[str, float]]:
    return random.Random(0).sample(sorted(found), 60)


def test_counts_of_users_are_those_of_the_log(snapshots: Snapshots, tables: dict[str, list[dict[str, Any]]]) -> None:
    for user, stamp in _sampled(snapshots["user_stats"]):
        row, log = snapshots["user_stats"][user, stamp], Log(tables, stamp)
        own = [event for event in log.events if event["user_id"] == user]
        for days in (1, 7, 30):
            for objective, kind in (("click", "click"), ("convert", "purchase")):
                assert row[f"num_{objective}_{days}d"] == len(log.within(own, days, event_type=kind))
            assert row[f"num_impressions_{days}d"] == len(log.within(log.shown, days, user_id=user))
        assert row["num_positive_total"] == len(_positive(own))
        ends = {math.ceil((round(stamp, 3) - event["timestamp"].timestamp()) / DAY) for event in log.within(own, 30)}
        assert row["num_active_days_30d"] == len(ends)
        sessions = {event["session_id"] or math.floor(event["timestamp"].timestamp() / DAY) for event in own}
        assert row["num_sessions_total"] == len(sessions)
        last = own[-1]["timestamp"].timestamp() if own else None
        assert row["last_event_at"] == (pytest.approx(last, abs=1e-6) if last else None)


def test_rates_of_users_are_smoothed_by_what_was_known(
    snapshots: Snapshots, tables: dict[str, list[dict[str, Any]]]
) -> None:
    for user, stamp in _sampled(snapshots["user_stats"]):
        log = Log(tables, stamp)
        everyone = log.within(log.shown, 30)
        shown = [row for row in everyone if row["user_id"] == user]
        prior = sum(row["label_click"] for row in everyone) / len(everyone)
        expected = (sum(row["label_click"] for row in shown) + 20 * prior) / (len(shown) + 20)
        assert snapshots["user_stats"][user, stamp]["ctr_30d"] == pytest.approx(expected, rel=1e-5)


def test_prices_of_users_are_those_paid_or_listed(
    snapshots: Snapshots, tables: dict[str, list[dict[str, Any]]]
) -> None:
    seen = 0
    for user, stamp in _sampled(snapshots["user_stats"]):
        log = Log(tables, stamp)
        prices = []
        for event in _positive(log.events):
            if event["user_id"] == user:
                at_event = Log(tables, _cut_after(event["timestamp"], stamp))
                price = event["price"]
                listed = at_event.content("items", "item_id", event["item_id"]).get("price")
                prices.append(price if price is not None else listed)
        logs_paid = [math.log1p(price) for price in prices if price is not None]
        row = snapshots["user_stats"][user, stamp]
        if logs_paid:
            seen += 1
            assert row["mean_log_price"] == pytest.approx(np.mean(logs_paid), abs=1e-4)
            assert row["std_log_price"] == pytest.approx(np.std(logs_paid), abs=1e-3)
    assert seen > 20


def _cut_after(moment: datetime, stamp: float) -> float:
    """The first cut after a moment, on the grid of another."""
    last = round(stamp, 3)
    return last - math.ceil((last - moment.timestamp()) / DAY - 1) * DAY


def test_static_columns_are_those_of_the_day(snapshots: Snapshots, tables: dict[str, list[dict[str, Any]]]) -> None:
    changed = 0
    for user, stamp in snapshots["user_stats"]:
        row, content = snapshots["user_stats"][user, stamp], Log(tables, stamp).content("users", "user_id", user)
        assert (row["country"], row["points"]) == (content.get("country"), content.get("points"))
        changed += row["country"] == "NO"
    for item, stamp in snapshots["item_stats"]:
        row, content = snapshots["item_stats"][item, stamp], Log(tables, stamp).content("items", "item_id", item)
        for name in ("category", "brand", "in_stock", "regions", "weight", "colour"):
            assert row[name] == content.get(name)
        if content.get("price") is not None:
            assert row["price"] == content["price"]
            assert row["log_price"] == pytest.approx(math.log1p(content["price"]), rel=1e-6)
    assert changed


def test_counts_of_items_are_those_of_the_log(snapshots: Snapshots, tables: dict[str, list[dict[str, Any]]]) -> None:
    for item, stamp in _sampled(snapshots["item_stats"]):
        row, log = snapshots["item_stats"][item, stamp], Log(tables, stamp)
        own = [event for event in log.events if event["item_id"] == item]
        month = log.within(own, 30)
        for days in (1, 7, 30):
            assert row[f"num_click_{days}d"] == len(log.within(own, days, event_type="click"))
            assert row[f"num_impressions_{days}d"] == len(log.within(log.shown, days, item_id=item))
        assert row["num_users_30d"] == len({event["user_id"] for event in _positive(month)})
        again = 0
        seen: set[str] = set()
        for event in _positive(own):
            again += event["user_id"] in seen and event in month
            seen.add(event["user_id"])
        assert row["repeat_rate_30d"] == pytest.approx(again / (len(_positive(month)) + 5), rel=1e-5)
        ends = [math.ceil((round(stamp, 3) - event["timestamp"].timestamp()) / DAY) - 1 for event in _positive(own)]
        ages = [max(age, 0) for age in ends]
        assert row["popularity_7d"] == pytest.approx(math.log1p(sum(2 ** (-age / 7) for age in ages)), rel=1e-5)
        firsts = [r["timestamp"].timestamp() for r in [*own, *log.shown] if r["item_id"] == item]
        created = log.content("items", "item_id", item).get("created_at")
        known = [*firsts, *([created.timestamp()] if created else [])]
        assert row["created_at"] == (pytest.approx(min(known), abs=1e-6) if known else None)


def test_price_to_category_is_against_the_days_mean(
    snapshots: Snapshots, tables: dict[str, list[dict[str, Any]]]
) -> None:
    compared = 0
    for item, stamp in _sampled(snapshots["item_stats"]):
        log = Log(tables, stamp)
        content = [log.content("items", "item_id", f"i{number}") for number in range(random_log.NUM_ITEMS)]
        own = log.content("items", "item_id", item)
        if own.get("category") and own.get("price"):
            same = [row["price"] for row in content if row["category"] == own["category"] and row["price"]]
            expected = math.log1p(own["price"]) - np.mean([math.log1p(price) for price in same])
            row = snapshots["item_stats"][item, stamp]
            assert row["price_to_category"] == pytest.approx(expected, abs=1e-4)
            compared += 1
    assert compared > 10


def test_quality_of_sellers_is_of_all_their_items(
    snapshots: Snapshots, tables: dict[str, list[dict[str, Any]]]
) -> None:
    compared = 0
    for item, stamp in _sampled(snapshots["item_stats"]):
        log, row = Log(tables, stamp), snapshots["item_stats"][item, stamp]
        seller = log.content("items", "item_id", item).get("seller_id")
        if seller is None:
            assert row["seller_rate_click_30d"] is None
            continue
        whose = {f"i{number}": f"s{number % 4}" for number in range(random_log.NUM_ITEMS)}  # see `random_log.rows`
        everyone = log.within(log.shown, 30)
        shown = [other for other in everyone if whose.get(other["item_id"]) == seller]
        prior = sum(other["label_click"] for other in everyone) / len(everyone)
        expected = (sum(other["label_click"] for other in shown) + 20 * prior) / (len(shown) + 20)
        assert row["seller_rate_click_30d"] == pytest.approx(expected, rel=1e-5)
        acted = [other for other in log.within(log.events, 30) if other["grade"] != 0]
        own = [other for other in acted if whose.get(other["item_id"]) == seller]
        returned = [sum(other["grade"] < 0 for other in those) for those in (acted, own)]
        expected = (returned[1] + 5 * returned[0] / len(acted)) / (len(own) + 5)
        assert row["seller_return_rate_30d"] == pytest.approx(expected, rel=1e-5)
        compared += 1
    assert compared > 30


def test_histories_hold_the_last_events_and_all_own_items(
    snapshots: Snapshots, tables: dict[str, list[dict[str, Any]]]
) -> None:
    longest = 0
    for (user, stamp), row in snapshots["user_history"].items():
        own = [event for event in Log(tables, stamp).events if event["user_id"] == user and event["grade"] != 0]
        history = _positive(own)[-HISTORY_LENGTH:]
        assert (row["history_ids"] or []) == [event["item_id"] for event in history]
        assert (row["history_grades"] or []) == [event["grade"] for event in history]
        assert row["own_ids"] == sorted({event["item_id"] for event in own})
        for place, item in enumerate(row["own_ids"]):
            those = [event for event in own if event["item_id"] == item]
            assert row["own_counts"][place] == len(_positive(those))
            assert row["own_negatives"][place] == len(those) - len(_positive(those))
            assert row["own_grades"][place] == max(0, *(event["grade"] for event in those))
            assert row["own_last"][place] == pytest.approx(those[-1]["timestamp"].timestamp(), abs=1e-6)
            assert row["own_first"][place] == pytest.approx(those[0]["timestamp"].timestamp(), abs=1e-6)
        longest = max(longest, len(history))
    assert longest > 20


def test_rows_stay_until_windows_have_run_out(snapshots: Snapshots) -> None:
    """Whatever a user's latest row says still holds: later events would have made a later row."""
    newest = max(stamp for _, stamp in snapshots["user_stats"])
    for name, key in (("user_stats", "user_id"), ("item_stats", "item_id")):
        latest = {entity: max(s for e, s in snapshots[name] if e == entity) for entity, _ in snapshots[name]}
        assert set(latest.values()) == {newest}, key


@pytest.mark.parametrize("seed", range(3))
def test_the_future_changes_nothing(tmp_path: Path, seed: int) -> None:
    tables = random_log.rows(seed=seed, num_events=150)
    before = _built(tmp_path / "before", tables)
    cut = sorted({stamp for _, stamp in before["item_stats"]})[4]
    first_day = (cut - START.timestamp()) / DAY
    rng = random.Random(seed)
    tables["interactions"] += [random_log.interaction(rng, 1000 + n, first_day) for n in range(300)]
    tables["impressions"] += [random_log.impression(rng, 1000 + n, first_day) for n in range(300)]
    late = START.fromtimestamp(cut + 3600, START.tzinfo)
    tables["items"].append({"item_id": "i0", "category": "z", "price": 1.0, "valid_from": late})
    after = _built(tmp_path / "after", tables)
    for name, rows in before.items():
        held = [key for key in rows if key[1] <= cut]
        assert len(held) > 20
        for key in held:
            assert after[name][key] == rows[key]


def test_an_event_at_a_cut_belongs_to_the_next_day(tmp_path: Path) -> None:
    tables = random_log.rows(seed=5, num_events=20)
    end = tables["interactions"][-1]["timestamp"].timestamp()
    at_cut = START.fromtimestamp(end - 3 * DAY, START.tzinfo)
    tables["interactions"].append({**tables["interactions"][0], "user_id": "fresh", "timestamp": at_cut})
    found = _built(tmp_path, tables)["user_history"]
    assert [stamp for user, stamp in found if user == "fresh"] == [end - 2 * DAY]


def test_extra_columns_may_have_the_names_of_sums(tmp_path: Path) -> None:
    """An owner's `sessions` is not the number of sessions that a snapshot counts on its way."""
    names = ["day", "emit", "sessions", "clicks", "orders", "positives", "impressions", "users", "repeats"]
    settings = config(features={table: {"numerical": names} for table in ("users", "items")})
    own = {name: 1000.5 + place for place, name in enumerate(names)}
    rows = {
        "interactions": [make_event(number) for number in range(200)],
        "users": [{"user_id": f"u{number}", **own} for number in range(7)],
        "items": [{"item_id": f"i{number}", **own} for number in range(11)],
    }
    write_prepared(tmp_path / "tables", settings, **rows)
    build_features(tmp_path / "tables", tmp_path / "features")
    found = _read(FeaturesDirectory(tmp_path / "features").snapshots)
    for view in ("user_stats", "item_stats"):
        assert found[view]
        for row in found[view].values():
            assert {name: row[name] for name in names} == own


def test_snapshots_may_begin_earlier(tmp_path: Path, tables: dict[str, list[dict[str, Any]]]) -> None:
    start = START.timestamp()
    early = _built(tmp_path, tables, since=start)
    split = PreparedTables.open(tmp_path / "tables").split
    stamps = {stamp for _, stamp in early["item_stats"]}
    assert min(stamps) <= start + DAY < split.rank_start
    assert len(stamps) == len(split.cuts())


@pytest.mark.parametrize("make", ["user_stats", "user_history", "item_stats"])
def test_spark_has_sql_for_them(folder: Path, snapshots: Snapshots, make: str) -> None:
    """Databricks' SQL is Spark's, and Ibis writes it without Spark being installed."""
    tables = PreparedTables.open(folder / "tables")
    feature_set = choose_features(tables, SOURCES)
    calendar = Calendar.of(tables.split)
    connection = connect(folder)
    log = read_log(connection, tables)
    expressions: dict[str, Callable[[], Any]] = {
        "user_stats": lambda: user_stats(log, calendar, feature_set),
        "user_history": lambda: user_history(log, calendar),
        "item_stats": lambda: item_stats(log, calendar, feature_set),
    }
    assert "SELECT" in str(ibis.to_sql(expressions[make](), dialect="databricks"))
    connection.disconnect()
