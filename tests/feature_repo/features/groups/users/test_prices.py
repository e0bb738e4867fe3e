"""Orders of several lines."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components.features.build import build_features
from tests.feature_repo.features.snapshot_rows import rows_of
from tests.kit.prepared_tables import START, config, event, write_prepared


def test_an_order_counts_though_its_first_line_has_no_price(tmp_path: Path) -> None:
    def line(number: int, session: str, price: float | None) -> dict[str, Any]:
        changes = {"event_type": "purchase", "user_id": "buyer", "session_id": session, "price": price}
        return event(number, timestamp=START + timedelta(hours=number - 1000), **changes)

    lines = [line(1000, "a", None), line(1001, "a", 10.0), line(1002, "a", 4.0), line(1003, "b", 20.0)]
    tables = write_prepared(
        tmp_path / "tables", config(), interactions=[*(event(number) for number in range(400)), *lines]
    )
    build_features(tables, tmp_path / "features")
    rows = rows_of(tmp_path / "features", "user_stats", "user_id", "buyer")
    assert {row["mean_order_value"] for row in rows.values()} == {17.0}


def test_orders_at_the_bounds_do_not_overflow(tmp_path: Path) -> None:
    """A price and a quantity may both be the greatest; the sums of many such orders still fit."""
    greatest = {"event_type": "purchase", "user_id": "buyer", "price": 1e12, "quantity": 1e9, "session_id": None}
    lines = [event(n, timestamp=START + timedelta(hours=1, seconds=n), **greatest) for n in range(1000, 3000)]
    settings = config(quality={"maximum_daily_events": 10_000})
    tables = write_prepared(
        tmp_path / "tables", settings, interactions=[*(event(number) for number in range(400)), *lines]
    )
    build_features(tables, tmp_path / "features")
    rows = rows_of(tmp_path / "features", "user_stats", "user_id", "buyer")
    assert [row["mean_order_value"] for row in rows.values()] == pytest.approx([1e13] * len(rows), rel=1e-6)
    assert {round(row["mean_log_price"], 3) for row in rows.values()} == {27.631}
