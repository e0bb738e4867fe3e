"""A small dataset directory that a test can bend."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

START = datetime(2024, 3, 1, tzinfo=UTC)
CONFIG = """
name = "shop"
[objectives]
click = ["view"]
convert = ["purchase"]
[events]
negative = ["return"]
"""


def interactions(num_rows: int = 60) -> pa.Table:
    """Rows every 8 hours over 20 days by 4 users on 6 items."""
    index = range(num_rows)
    return pa.table(
        {
            "user_id": [f"u{i % 4}" for i in index],
            "item_id": [f"i{i % 6}" for i in index],
            "event_type": ["purchase" if i % 5 == 0 else "view" for i in index],
            "timestamp": pa.array([START + timedelta(hours=8 * i) for i in index], pa.timestamp("us", tz="UTC")),
        }
    )


DatasetFactory = Callable[..., Path]


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetFactory:
    """Writes a dataset directory; tables are given by name, each as one file."""

    def make(config: str = CONFIG, **tables: Any) -> Path:
        directory = tmp_path / "dataset"
        directory.mkdir(exist_ok=True)
        (directory / "dataset.toml").write_text(config)
        for name, table in {"interactions": interactions(), **tables}.items():
            pq.write_table(table, directory / f"{name}.parquet")
        return directory

    return make
