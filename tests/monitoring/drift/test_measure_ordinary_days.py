"""Ordinary days do not alarm: the next day of a simulated world beside the reference of what was trained on it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from components.ranking.trees.boosting import RankerConfig
from monitoring.drift.measure import measure
from monitoring.drift.report import ENOUGH_UNITS, DriftReport
from tests.monitoring.drift.marketplace import Shop, make_shop, write_log

REQUESTS = 1_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The tiny world, without towers."""
    return make_shop(
        tmp_path_factory.mktemp("tiny"), "tiny", towers=False, trees=RankerConfig(num_trees=60, num_threads=1)
    )


def ordinary(shop: Shop, log: Path, seed: int) -> DriftReport:
    """A next day of at least a thousand ranked requests."""
    start, end = shop.next_day
    report = measure(shop.bundle, write_log(log, shop.day(seed, REQUESTS)), start - 3600, end + 3600)
    assert report.num_requests >= REQUESTS
    assert sum(feature.psi is not None for feature in report.features) > 80
    return report


def told(report: DriftReport) -> Mapping[str, float | None]:
    """What stands above what is none."""
    return {found.name: found.psi for found in report.features if found.severity not in ("none", "insufficient")}


@pytest.mark.parametrize("seed", [1, 2])
def test_an_ordinary_day_does_not_alarm(shop: Shop, tmp_path: Path, seed: int) -> None:
    report = ordinary(shop, tmp_path, seed)
    assert report.verdict in ("none", "moderate"), told(report)
    # A day has one weekday, and the reference has all seven: it is told, and does not count.
    weekday = next(feature for feature in report.features if feature.name == "request_weekday_sin")
    assert (weekday.severity, weekday.alarms) == ("significant", False)


def test_what_was_shown_more_often_is_told_and_does_not_alarm(shop: Shop, tmp_path: Path) -> None:
    """A first release shows other items than what was served before, and finds itself in its features a day later."""
    table, (start, end) = shop.day(3, 520), shop.next_day
    for side, days in itertools.product(("item", "user"), (1, 7, 30)):
        name = f"feature_{side}_num_impressions_{days}d"
        more = pc.cast(pc.multiply(table[name], 5), pa.float32())
        table = table.set_column(table.schema.get_field_index(name), name, more)
    report = measure(shop.bundle, write_log(tmp_path, table), start - 3600, end + 3600)
    assert report.num_requests >= ENOUGH_UNITS
    for name in ("item_num_impressions_1d", "user_num_impressions_7d"):
        shown = next(feature for feature in report.features if feature.name == name)
        assert (shown.kind, shown.severity, shown.alarms) == ("exposure", "significant", False)
        assert shown.detail.endswith("; impression counts never alarm")
    assert report.verdict in ("none", "moderate"), told(report)


@pytest.mark.long
def test_of_ten_ordinary_days_at_least_nine_do_not_alarm(tmp_path: Path) -> None:
    """The small world with towers, as it is trained by default but for the number of trees and epochs."""
    shop = make_shop(tmp_path / "shop", "small", towers=True, trees=RankerConfig(num_trees=120, num_threads=2))
    reports = [ordinary(shop, tmp_path / f"log{seed}", seed) for seed in range(10)]
    alarms = [told(report) for report in reports if report.verdict == "significant"]
    assert len(alarms) <= 1, alarms
