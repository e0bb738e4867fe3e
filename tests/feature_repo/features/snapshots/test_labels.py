"""A label that an event brings counts from the day of the event."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.features.build import build_features
from components.ingest import ingest
from feature_repo.dataset.tables import TIMESTAMP
from tests.feature_repo.features.snapshot_rows import rows_of
from tests.kit.prepared_tables import START

CONFIG = """
name = "shop"
[objectives]
click = ["view", "purchase"]
convert = ["purchase"]
"""


def test_a_joined_label_counts_from_the_day_it_was_known(tmp_path: Path) -> None:
    """Two items are shown alike; one is bought five days later, and until then nothing may tell them apart."""
    shown, bought = START + timedelta(days=40), START + timedelta(days=45)
    events: list[tuple[str, str, str, datetime, str | None]]
    events = [("u1", f"i{n % 5}", "view", START + timedelta(days=n), None) for n in range(60)]
    events += [("u2", "late", "purchase", bought, "r1")]
    events += [("u3", "late", "search", shown, "r1"), ("u4", "twin", "purchase", START + timedelta(days=2), "r1")]
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
