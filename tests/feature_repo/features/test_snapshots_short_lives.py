"""A log of items that live for hours: items are counted within the day, users once a day."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.features.build import build_features, build_newest
from feature_repo.dataset.split import DAY, HOUR, Split
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.choice import windows_of
from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.feature_set import FeatureSet
from inference.feature_store.historical import HistoricalFeatures
from tests.kit.prepared_tables import START, config, write_prepared

SPAN = 10  # days
LIFE = 20  # hours between the first and the last event of an item

Row = dict[str, Any]


def log(seed: int) -> list[Row]:
    """Ten clicks on each of 60 items within `LIFE`, by five users; the last event pins the log's end."""
    rng = random.Random(seed)
    rows = [
        {
            "user_id": f"u{rng.randrange(5)}",
            "item_id": f"i{item:02}",
            "event_type": "purchase" if click == 3 else "click",
            "timestamp": START + timedelta(days=item / 60 * (SPAN - 1), hours=LIFE * click / 9),
        }
        for item in range(60)
        for click in range(10)
    ]
    last = {**rows[-1], "timestamp": START + timedelta(days=SPAN)}
    return [{"event_id": f"e{number}", **row} for number, row in enumerate([*rows, last])]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return log(seed=0)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> Path:
    path = tmp_path_factory.mktemp("short")
    write_prepared(path / "tables", config(), interactions=rows)
    build_features(path / "tables", path / "features")
    return path


def within(rows: list[Row], item: str, stamp: float, hours: float, kinds: tuple[str, ...]) -> int:
    end = round(stamp, 3)  # the last stamp is a microsecond late
    times = [row["timestamp"].timestamp() for row in rows if row["item_id"] == item and row["event_type"] in kinds]
    return sum(end - hours * HOUR <= time < stamp for time in times)


def snapshots(built: Path, view: str, key: str) -> dict[str, dict[float, Row]]:
    found: dict[str, dict[float, Row]] = {}
    for row in pq.read_table(FeaturesDirectory(built / "features").snapshots / f"{view}.parquet").to_pylist():
        found.setdefault(row[key], {})[row["event_timestamp"].timestamp()] = row
    return found


def test_items_are_counted_in_hours_at_every_cut(built: Path, rows: list[Row]) -> None:
    """Also where the latest row is older than the cut, because nothing moved since."""
    split = PreparedTables.open(built / "tables").split
    assert (split.step, split.parts) == (2 * HOUR, 12)
    assert FeaturesDirectory(built / "features").feature_set().item_windows == (2, 4, 8, 16)
    found, stale, hot = snapshots(built, "item_stats", "item_id"), 0, 0
    for cut in split.cuts_within(split.rank_start, np.inf):
        stamp = split.stamp(float(cut))
        for item, mine in found.items():
            known = max((at for at in mine if at <= stamp), default=None)
            if known is None:
                assert not within(rows, item, stamp, 1e9, ("click", "purchase"))
                continue
            row = mine[known]
            stale += known < stamp
            for hours in (2, 4, 8, 16):
                assert row[f"num_click_{hours}h"] == within(rows, item, stamp, hours, ("click",))
                assert row[f"num_convert_{hours}h"] == within(rows, item, stamp, hours, ("purchase",))
            hot += row["num_click_2h"] > 0
            short, long = (within(rows, item, stamp, hours, ("click", "purchase")) / hours for hours in (2, 16))
            assert row["trend_hours"] == pytest.approx(np.log((short + 0.1) / (long + 0.1)), rel=1e-5)
            assert row["num_click_1d"] == within(rows, item, known, 24, ("click",))
    assert stale > 100
    assert hot > 100


def test_users_are_counted_once_a_day(built: Path, rows: list[Row]) -> None:
    split = PreparedTables.open(built / "tables").split
    stamps = {stamp for mine in snapshots(built, "user_stats", "user_id").values() for stamp in mine}
    assert stamps <= {split.stamp(float(cut)) for cut in split.user_cuts()}
    assert len(stamps) >= 5
    feature_set = FeaturesDirectory(built / "features").feature_set()
    assert not [name for name in feature_set.user_numeric if name.endswith("h")]
    with HistoricalFeatures(built / "features") as reader:
        for time in split.validation_start + np.array([0.0, 5 * HOUR, 23.9 * HOUR]):
            users = reader.users(["u1"], np.array([time]))
            place = feature_set.user_numeric.index("num_click_1d")
            mine = [{**row, "item_id": "any"} for row in rows if row["user_id"] == "u1"]
            assert users.numeric[0, place] == within(mine, "any", split.validation_start, 24, ("click",))
            assert (users.history.times < time).all()


def test_the_catalogue_moves_within_the_day(built: Path, rows: list[Row]) -> None:
    split = PreparedTables.open(built / "tables").split
    place = FeaturesDirectory(built / "features").feature_set().item_numeric.index("num_click_4h")
    with HistoricalFeatures(built / "features") as reader:
        for cut in (split.test_start, split.test_start + 3 * split.step):
            items = reader.items(cut + HOUR)  # as of the cut before
            expected = [within(rows, item, cut, 4, ("click",)) for item in items.item_ids]
            assert sum(expected) > 0
            np.testing.assert_array_equal(np.nan_to_num(items.numeric[:, place]), expected)


def test_a_refresh_counts_the_same_hours(built: Path, tmp_path: Path) -> None:
    """Windows and cadence are those of the feature set, whatever the refreshed log would choose."""
    tables = PreparedTables.open(built / "tables")
    feature_set = FeaturesDirectory(built / "features").feature_set()
    build_newest(built / "tables", tmp_path, feature_set, tables.split.log_end)
    stamp = tables.split.stamp(tables.split.log_end)
    trained = snapshots(built, "item_stats", "item_id")
    newest = {row["item_id"]: row for row in pq.read_table(tmp_path / "snapshots/item_stats.parquet").to_pylist()}
    assert newest == {item: mine[stamp] for item, mine in trained.items()}


def test_windows_double_from_the_step_to_a_life() -> None:
    split = Split(log_start=0, rank_start=1, validation_start=2, test_start=3, log_end=9 * DAY)
    assert windows_of(split, HOUR) == ()
    finer = split.model_copy(update={"step": 8 * HOUR, "parts": 3})
    assert windows_of(finer, 70 * HOUR) == (8, 16, 32, 64)
    assert windows_of(finer, HOUR) == (8,)


def test_feature_sets_without_hourly_windows_keep_their_hash() -> None:
    daily = FeatureSet(objectives=("click",), item_numeric=("num_click_1d",))
    assert daily.hash == "6ad7ac9b91f87e0c"
    assert daily.model_copy(update={"item_windows": (3,)}).hash != daily.hash
