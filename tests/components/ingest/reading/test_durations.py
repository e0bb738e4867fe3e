"""Time scales are measured from clean positive events, at ingest and again on clean tables."""

from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

import components.ingest.reading.durations as durations
from components.ingest.reading.durations import measure_time_scales
from feature_repo.dataset.tables import PreparedTables
from tests.kit.prepared_tables import START, config, event, write_prepared

HOUR = 3600.0


def test_outlying_rows_and_searches_do_not_count(tmp_path: Path) -> None:
    rows = [event(number, item_id=f"i{number // 10}", user_id="u") for number in range(50)]
    rows += [event(number, event_type="search", timestamp=START + timedelta(days=number)) for number in range(40)]
    rows.append(event(99, item_id="i0", timestamp=START + timedelta(days=4000)))
    scales = PreparedTables.open(write_prepared(tmp_path, config(), interactions=rows)).time_scales
    assert scales.item_life == 8 * HOUR  # from the second of ten hourly events to the ninth
    assert (scales.visit_length, scales.return_time) == (None, HOUR)


def test_sessions_are_those_of_the_log(tmp_path: Path) -> None:
    rows = [event(number, user_id="u", session_id=f"s{number // 4}") for number in range(12)]
    scales = PreparedTables.open(write_prepared(tmp_path, config(), interactions=rows)).time_scales
    assert (scales.visit_length, scales.return_time) == (3 * HOUR, HOUR)


def test_a_large_log_is_measured_on_whole_items_and_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "MOST_EVENTS", 100)
    rows = [event(number, item_id=f"i{number // 10}", user_id=f"u{number // 10}") for number in range(400)]
    directory = write_prepared(tmp_path, config(), interactions=rows)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW interactions AS FROM '{directory}/interactions.parquet'")
        scales = measure_time_scales(connection, "true")
    assert (scales.item_life, scales.return_time) == (8 * HOUR, HOUR)
