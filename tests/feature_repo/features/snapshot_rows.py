"""Rows of snapshots that are written to a directory."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from feature_repo.features.directory import FeaturesDirectory


def rows_of(features: Path, view: str, key: str, entity: str) -> dict[datetime, dict[str, Any]]:
    """Snapshot rows of an entity by their stamp."""
    rows = pq.read_table(FeaturesDirectory(features).snapshots / f"{view}.parquet").to_pylist()
    return {row["event_timestamp"]: row for row in rows if row[key] == entity}
