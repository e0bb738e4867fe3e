"""Converts events to rows of the log's interactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from inference.log.layout import INTERACTIONS_SCHEMA

LATEST = round(datetime(9999, 1, 1, tzinfo=UTC).timestamp() * 1e6)  # microseconds; folders are named by date


def events_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Dumped events, one or many, as a table of `INTERACTIONS_SCHEMA`, each `event_id` once."""
    distinct: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        distinct.setdefault(row["event_id"], row)
    kept = list(distinct.values())
    columns = [pa.array([row.get(field.name) for row in kept], field.type) for field in INTERACTIONS_SCHEMA]
    return pa.table(columns, schema=INTERACTIONS_SCHEMA)


def sound_events(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The events that `events_table` can convert; a journal of other code, or a damaged one, may hold others."""
    timed = [row for row in rows if isinstance(row["event_id"], str) and _has_moment(row)]
    if _fits(timed):
        return timed
    return [row for row in timed if _fits([row])]


def _has_moment(row: Mapping[str, Any]) -> bool:
    moment = row.get("timestamp")
    return isinstance(moment, int) and not isinstance(moment, bool) and 0 <= moment < LATEST


def _fits(rows: Sequence[Mapping[str, Any]]) -> bool:
    try:
        events_table(rows)
    except (pa.ArrowException, OverflowError, TypeError):
        return False
    return True
