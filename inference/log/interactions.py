"""Converts events to rows of the log's interactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from inference.log.layout import INTERACTIONS_SCHEMA


def events_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Dumped events, one or many, as a table of `INTERACTIONS_SCHEMA`, each `event_id` once."""
    distinct: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        distinct.setdefault(row["event_id"], row)
    kept = list(distinct.values())
    columns = [pa.array([row.get(field.name) for row in kept], field.type) for field in INTERACTIONS_SCHEMA]
    return pa.table(columns, schema=INTERACTIONS_SCHEMA)
