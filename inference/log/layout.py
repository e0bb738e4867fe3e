"""The file layout of a log, and the columns of every log.

Files are `<log>/<table>/date=YYYY-MM-DD/hour=HH/part-*.parquet`, by the row's `timestamp` in UTC. Each part is written
atomically.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pyarrow as pa

from feature_repo.dataset.contract import CONTRACT_COLUMNS
from feature_repo.dataset.tables import ARROW_TYPES, TIMESTAMP

IMPRESSIONS = "impressions"
INTERACTIONS = "interactions"
HOUR = 3600
INTERACTIONS_SCHEMA = pa.schema(
    [pa.field(name, ARROW_TYPES[kind]) for name, kind in CONTRACT_COLUMNS[INTERACTIONS].items()]
)
# Columns of every log; `impressions.py` adds the columns of a feature set.
IMPRESSIONS_SCHEMA = pa.schema(
    [
        pa.field("request_id", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("item_id", pa.string()),
        pa.field("timestamp", TIMESTAMP),
        pa.field("position", pa.int32()),
        pa.field("surface", pa.string()),
        pa.field("country", pa.string()),
        pa.field("device", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("source", pa.string()),
        pa.field("bundle_version", pa.string()),
        pa.field("feature_hash", pa.string()),
    ]
)
_FOLDER = re.compile(r"date=(\d{4}-\d{2}-\d{2})/hour=(\d{2})")


def hour_folder(hour: int) -> str:
    """Folder of an hour (hours since the epoch), relative to its table."""
    return datetime.fromtimestamp(hour * HOUR, UTC).strftime("date=%Y-%m-%d/hour=%H")


def hour_of(folder: str) -> int | None:
    """The hour (hours since the epoch) of a folder relative to its table; None if the folder is not an hour folder."""
    found = _FOLDER.fullmatch(folder)
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{found[1]}T{found[2]}:00:00+00:00")
    except ValueError:
        return None
    return int(moment.timestamp()) // HOUR


def is_part(name: str) -> bool:
    """Whether a file in an hour's folder is a complete part; unfinished parts have other names."""
    return name.startswith("part-") and name.endswith(".parquet")
