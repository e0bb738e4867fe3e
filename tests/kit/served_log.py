"""What the tests of the log share: slates of the small world, events, and metrics of a test's own."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
from prometheus_client import CollectorRegistry

from inference.api.events import Event, checked
from inference.log.writer import LogWriter
from inference.metrics import Metrics
from tests.kit import world


class Counted:
    """Metrics with a registry of their own, and their values."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)

    def rows(self, table: str) -> float:
        return self._value("recs_log_rows_total", table=table)

    def lost(self, table: str, reason: str) -> float:
        return self._value("recs_log_lost_rows_total", table=table, reason=reason)

    def events(self, outcome: str) -> float:
        return self._value("recs_events_total", outcome=outcome)

    def degraded(self, reason: str) -> float:
        return self._value("recs_degraded_total", reason=reason)

    def waiting(self) -> float:
        return self._value("recs_log_waiting_rows")

    def _value(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(name, labels)
        assert value is not None, f"{name} {labels} is not there before its first row"
        return value


def slates(num: int, start: int = 0, time: float = world.NOW):
    """Slates of 20 items, and the artifacts they were made from."""
    made = world.artifacts()
    asked = [world.query(f"u{n % 80}", request_id=f"r{n}", time=time) for n in range(start, start + num)]
    return world.recommender(made).recommend(asked), made


def events(*names: str, **fields) -> list[Event]:
    rows = [{"event_id": name, "user_id": "u1", "item_id": "i1", "event_type": "click", **fields} for name in names]
    return checked(rows, world.NOW, "wall")


def writer(url: str | Path, spool: Path, counted: Counted, **settings) -> LogWriter:
    """A writer that flushes when the test says so, unless told otherwise."""
    options = {"flush_seconds": 600.0, "max_slates": 1000, **settings}
    return LogWriter(str(url), spool, counted.metrics, **options)


def parts(log: Path, table: str) -> list[Path]:
    return sorted((log / table).rglob("part-*.parquet"))


def num_rows(log: Path, table: str) -> int:
    """Rows of all parts; each must be readable."""
    return sum(pq.read_table(path, partitioning=None).num_rows for path in parts(log, table))


def leftovers(spool: Path) -> list[str]:
    return sorted(str(path.relative_to(spool)) for path in spool.rglob("*") if path.name != "lock")
