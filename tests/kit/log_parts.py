"""Parts of a served log, written by hand the way servers write them (contract 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from feature_repo.storage.files import write_parquet
from inference.log.layout import HOUR, IMPRESSIONS_SCHEMA, INTERACTIONS_SCHEMA, hour_folder

SERVED = pa.schema([*IMPRESSIONS_SCHEMA, ("p_click", pa.float32()), ("feature_item_price", pa.float32())])


def slate(request: str, user: str, items: Sequence[str], at: datetime, **context: Any) -> list[dict[str, Any]]:
    """Rows of one request, from the top."""
    told = {"surface": "home", "country": "DE", "score": 0.5, "source": "popular", "bundle_version": "v1"}
    rest = {**told, "feature_hash": "0" * 16, "p_click": 0.1, "feature_item_price": 3.5, **context}
    shown = {"request_id": request, "user_id": user, "timestamp": at}
    return [{**shown, "item_id": item, "position": place, **rest} for place, item in enumerate(items)]


def event(event_id: str, user: str, item: str, kind: str, at: datetime, **more: Any) -> dict[str, Any]:
    """A row of interactions."""
    return {"event_id": event_id, "user_id": user, "item_id": item, "event_type": kind, "timestamp": at, **more}


def write_part(log: Path, table: str, name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes rows of one hour as a part."""
    schema = INTERACTIONS_SCHEMA if table == "interactions" else SERVED
    hour = int(rows[0]["timestamp"].timestamp() // HOUR)
    path = log / table / hour_folder(hour) / f"part-{name}.parquet"
    write_parquet(path, pa.Table.from_pylist([dict(row) for row in rows], schema=schema))
    return path
