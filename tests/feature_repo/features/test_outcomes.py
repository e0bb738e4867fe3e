"""What a log says later than it happened: labels that events bring, and orders of several lines."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.features.build import build_features
from components.ingest import ingest
from feature_repo.dataset.tables import TIMESTAMP
from feature_repo.features.directory import FeaturesDirectory
from tests.components.validation.prepared import START, config, event, write_prepared

CONFIG = """
name = "shop"
[objectives]
click = ["view", "purchase"]
convert = ["purchase"]
"""


def rows_of(features: Path, view: str, key: str, entity: str) -> dict[datetime, dict[str, Any]]:
    """Snapshot rows of an entity by their stamp."""
    rows = pq.read_table(FeaturesDirectory(features).snapshots / f"{view}.parquet").to_pylist()
    return {row["event_timestamp"]: row for row in rows if row[key] == entity}


def test_a_joined_label_counts_from_the_day_it_was_known(tmp_path: Path) -> None:
    """Two items are shown alike; one is bought five days later, and until then nothing may tell them apart."""
    shown, bought = START + timedelta(days=40), START + timedelta(days=45)
    events: list[tuple[str, str, str, datetime, str | None]]
    events = [("u1", f"i{n % 5}", "view", START + timedelta(days=n), None) for n in range(60)]
    events += [("u2", "late", "purchase", bought, "r1")]
    impressions = [("r1", "u2", item, shown) for item in ("late", "twin")]
    names = ("user_id", "item_id", "event_type", "timestamp", "request_id")
    log = dict(zip(names, map(list, zip(*events, strict=True)), strict=True))
    slates = dict(
        zip(("request_id", "user_id", "item_id", "timestamp"), map(list, zip(*impressions, strict=True)), strict=True)
    )
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    (dataset / "dataset.toml").write_text(CONFIG)
    for table, columns in (("interactions", log), ("impressions", slates)):
        pq.write_table(
            pa.table(columns | {"timestamp": pa.array(columns["timestamp"], TIMESTAMP)}), dataset / f"{table}.parquet"
        )
    ingest(dataset, tmp_path / "tables")
    build_features(tmp_path / "tables", tmp_path / "features")
    late, twin = (rows_of(tmp_path / "features", "item_stats", "item_id", item) for item in ("late", "twin"))
    before = [stamp for stamp in twin if shown < stamp <= bought]
    after = [stamp for stamp in twin if bought < stamp <= bought + timedelta(days=2)]
    assert len(before) == 5
    assert len(after) == 2
    for name in ("smoothed_rate_click_7d", "smoothed_rate_convert_7d", "smoothed_rate_convert_30d"):
        assert [late[stamp][name] for stamp in before] == [twin[stamp][name] for stamp in before]
        assert all(late[stamp][name] > twin[stamp][name] for stamp in after)
    user = rows_of(tmp_path / "features", "user_stats", "user_id", "u2")
    assert {user[stamp]["ctr_30d"] for stamp in before} == {0.0}
    assert all(user[stamp]["ctr_30d"] > 0.0 for stamp in after)


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
