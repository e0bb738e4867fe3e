"""Measures the time scales of a log (`feature_repo/dataset/time_scales.py`) with bounded memory.

Above `MOST_EVENTS` positive events, items are measured on a sample of the items, and visits on a sample of the users.
Both are drawn by hash, so that the sample holds all events of an item or user.
"""

from __future__ import annotations

import duckdb

from feature_repo.dataset.time_scales import TimeScales, item_life, visits

MOST_EVENTS = 5_000_000  # 24 bytes each, and as much again while they are sorted
SECONDS = "epoch_us(timestamp) / 1e6"


def measure_time_scales(connection: duckdb.DuckDBPyConnection, clean: str) -> TimeScales:
    """Time scales of the positive events.

    Args:
        connection: Has the view `interactions`.
        clean: SQL condition of the rows that count.
    """
    events = f"FROM interactions WHERE {clean} AND grade > 0"
    counted = connection.execute(f"SELECT count(*) {events}").fetchone()
    shares = 1 + (counted[0] if counted else 0) // MOST_EVENTS
    items = connection.execute(
        f"SELECT {_code('item_id')} AS item, {SECONDS} AS time {events} AND hash(item_id) % {shares} = 0"
    ).fetchnumpy()
    users = connection.execute(
        f"SELECT {_code('user_id')} AS visitor, {SECONDS} AS time, "
        f"CASE WHEN session_id IS NULL THEN -1 ELSE {_code('session_id')} END AS session "
        f"{events} AND hash(user_id) % {shares} = 0"
    ).fetchnumpy()
    length, until_return = visits(users["visitor"], users["session"], users["time"])
    return TimeScales(item_life=item_life(items["item"], items["time"]), visit_length=length, return_time=until_return)


def _code(column: str) -> str:
    """SQL: a code of a text column's value, at least 0, that fits a signed integer with a sign to spare."""
    return f"(hash({column}) >> 2)::BIGINT"
