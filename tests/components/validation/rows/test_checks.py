"""Row rules: each finds its rows, shows three of them, and nothing is lost between clean and quarantine."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.validation.report import QualityReport
from components.validation.rows.checks import check_rows
from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.contract import TABLES
from feature_repo.dataset.tables import TIMESTAMP, PreparedTables
from feature_repo.errors import DatasetError
from tests.kit.prepared_tables import START, Row, config, event, write_prepared

NOW = (START + timedelta(days=30)).timestamp()


def check(folder: Path, settings: DatasetConfig | None = None, **rows: Sequence[Row]) -> QualityReport:
    """Writes prepared tables below `folder` and checks them."""
    tables = write_prepared(folder / "tables", settings or config(), **rows)
    return check_rows(tables, folder / "clean", folder / "quarantine", folder / "report.html", now=NOW)


def quarantined(folder: Path, table: str = "interactions") -> dict[int, str]:
    """Row -> reasons of a quarantine table."""
    rows = pq.read_table(folder / "quarantine" / f"{table}.parquet").to_pylist()
    return {row["row"]: row["reasons"] for row in rows}


def clean_rows(folder: Path, table: str = "interactions") -> list[int]:
    return PreparedTables.open(folder / "clean").read(table)["row"].to_pylist()


def events(num: int = 60, **changed: dict[str, Any]) -> list[dict[str, Any]]:
    """Clean events, some changed: `row_3={"price": -1.0}`."""
    rows = [event(number) for number in range(num)]
    for name, change in changed.items():
        rows[int(name.removeprefix("row_"))] |= change
    return rows


@pytest.mark.parametrize(
    ("change", "reason", "column"),
    [
        ({"user_id": None}, "null_user_id", "user_id"),
        ({"item_id": None}, "null_item_id", "item_id"),
        ({"event_type": None}, "null_event_type", "event_type"),
        ({"timestamp": None}, "null_timestamp", "timestamp"),
        ({"price": -0.01}, "negative_price", "price"),
        ({"timestamp": datetime(2099, 1, 1, tzinfo=UTC)}, "outlying_time", "timestamp"),
    ],
)
def test_each_rule_puts_its_row_aside(change: dict[str, Any], reason: str, column: str, tmp_path: Path) -> None:
    report = check(tmp_path, interactions=events(row_7=change))
    assert quarantined(tmp_path) == {7: reason}
    assert sorted(clean_rows(tmp_path)) == [row for row in range(60) if row != 7]
    found = next(finding for finding in report.tables["interactions"].findings if finding.reason == reason)
    assert (found.column, found.count, found.examples[0]["row"]) == (column, 1, "7")
    assert report.rate == pytest.approx(59 / 60)


def test_a_row_that_is_only_unusual_stays(tmp_path: Path) -> None:
    report = check(tmp_path, interactions=events(row_1={"price": None}, row_2={"price": 0.0}, row_3={"price": 1e6}))
    assert quarantined(tmp_path) == {}
    assert [(found.column, found.count, found.greatest) for found in report.outliers] == [("price", 1, 1e6)]
    assert report.outliers[0].examples[0]["row"] == "3"


def test_the_first_of_equal_rows_stays(tmp_path: Path) -> None:
    same = event(5)
    report = check(tmp_path, interactions=events(row_9=same, row_20=same, row_30={**same, "row_hash": 1}))
    assert quarantined(tmp_path) == {9: "duplicate", 20: "duplicate"}
    assert report.tables["interactions"].bad == 2


def test_unknown_event_types_are_bad_only_where_types_are_declared(tmp_path: Path) -> None:
    rows = events(row_4={"event_type": "clik"}, row_5={"event_type": "search"})
    open_world = check(tmp_path / "open", interactions=rows)
    assert open_world.unmapped_event_types == {"clik": 1, "search": 1}
    assert quarantined(tmp_path / "open") == {}
    declared = check(tmp_path / "closed", config(events={"allowed": ["search"]}), interactions=rows)
    assert quarantined(tmp_path / "closed") == {4: "unknown_event_type"}
    assert declared.unmapped_event_types == {}


def test_few_rows_cut_off_by_a_year_are_outlying_and_do_not_move_the_log(tmp_path: Path) -> None:
    old = datetime(1970, 1, 1, tzinfo=UTC)
    many = [event(n, timestamp=START + timedelta(minutes=n) if n > 1 else old) for n in range(2_000)]
    check(tmp_path, interactions=many)
    assert set(quarantined(tmp_path).values()) == {"outlying_time"}
    clean = PreparedTables.open(tmp_path / "clean")
    assert clean.split.log_start == (START + timedelta(minutes=2)).timestamp()
    check(tmp_path / "more", interactions=[*(event(n, timestamp=old) for n in range(4)), *many[4:]])
    assert quarantined(tmp_path / "more") == {}  # over 0.1 % of the rows, and over three rows


def test_what_stays_is_within_the_log_however_few_the_rules_leave_of_it(tmp_path: Path) -> None:
    """Four rows of 2,000 are no outliers; the one of them that is clean still is none among 1,997."""
    late = START + timedelta(days=-400)
    few = [event(n, timestamp=late, price=-1.0 if n else 1.0) for n in range(4)]
    many = [event(n, timestamp=START + timedelta(minutes=n)) for n in range(1_996)]
    check(tmp_path, interactions=[*few, *many])
    assert set(quarantined(tmp_path).values()) == {"negative_price"}
    clean = PreparedTables.open(tmp_path / "clean")
    assert clean.split.log_start == late.timestamp()
    assert clean.interactions["timestamp"][0].as_py() == late


def test_the_clean_log_ends_with_its_last_clean_row(tmp_path: Path) -> None:
    check(tmp_path, interactions=events(60, row_59={"user_id": None}))
    clean = PreparedTables.open(tmp_path / "clean")
    assert clean.split.log_end == (START + timedelta(hours=58)).timestamp()
    assert clean.num_rows["interactions"] == 59


@pytest.mark.parametrize("seconds", [1_772_000_000_000, -100_000_000_000, -(2**63) // 10**6 + 1])
def test_times_no_calendar_has_are_put_aside_and_shown(seconds: int, tmp_path: Path) -> None:
    """Milliseconds written as seconds lie in the year 58,000."""
    column = pa.array([seconds * 10**6], TIMESTAMP)
    tables = write_prepared(tmp_path / "tables", config(), interactions=events())
    read = pq.read_table(tables / "interactions.parquet")
    times = pa.chunked_array([*read["timestamp"].slice(0, 7).chunks, column, *read["timestamp"].slice(8).chunks])
    place = read.schema.get_field_index("timestamp")
    pq.write_table(read.set_column(place, "timestamp", times), tables / "interactions.parquet")
    report = check_rows(tables, tmp_path / "clean", tmp_path / "quarantine", tmp_path / "report.html", now=NOW)
    found = next(finding for finding in report.tables["interactions"].findings if finding.count)
    assert (found.reason, found.count, found.examples[0]["row"]) == ("outlying_time", 1, "7")
    assert str(found.examples[0]["timestamp"]) in (tmp_path / "report.html").read_text()
    assert PreparedTables.open(tmp_path / "clean").split.log_start == START.timestamp()


def test_several_reasons_are_all_named(tmp_path: Path) -> None:
    report = check(tmp_path, interactions=events(row_3={"user_id": None, "price": -2.0}))
    assert quarantined(tmp_path) == {3: "null_user_id|negative_price"}
    assert report.tables["interactions"].bad == 1


def test_the_other_tables_are_checked_too(tmp_path: Path) -> None:
    shown = {"request_id": "r1", "user_id": "u1", "item_id": "i1", "timestamp": START}
    report = check(
        tmp_path,
        interactions=events(),
        items=[{"item_id": "i1", "price": 2.0}, {"item_id": "i2", "price": -2.0}, {"item_id": None}],
        users=[{"user_id": "u1", "country": "SE"}, {"user_id": "u1", "country": "SE"}, {"user_id": None}],
        impressions=[
            shown,
            {**shown, "user_id": None},
            {**shown, "timestamp": datetime(2099, 1, 1, tzinfo=UTC)},
            shown,
        ],
    )
    assert quarantined(tmp_path, "items") == {1: "negative_price", 2: "null_item_id"}
    assert quarantined(tmp_path, "users") == {1: "duplicate", 2: "null_user_id"}
    assert quarantined(tmp_path, "impressions") == {1: "null_user_id", 2: "outlying_time", 3: "duplicate"}
    assert report.passed
    assert report.tables["impressions"].rate == 0.25


def test_bots_are_kept_out_of_training_but_are_not_bad(tmp_path: Path) -> None:
    busy = [event(n, user_id="robot", timestamp=START + timedelta(days=1, seconds=n)) for n in range(21)]
    later = event(70, user_id="robot", timestamp=START + timedelta(days=2))
    human = [event(n, user_id="human", timestamp=START + timedelta(days=1, seconds=n)) for n in range(20)]
    shown = [{"request_id": "r", "user_id": user, "item_id": "i1", "timestamp": START} for user in ("robot", "human")]
    settings = config(quality={"maximum_daily_events": 20})
    report = check(tmp_path, settings, interactions=[*events(), *busy, later, *human], impressions=shown)
    assert set(quarantined(tmp_path)) == set(range(60, 82))
    assert set(quarantined(tmp_path).values()) == {"bot"}
    assert quarantined(tmp_path, "impressions") == {0: "bot"}
    assert report.rate == 1.0
    assert (report.num_bots, report.tables["interactions"].bots, report.bots[0].events) == (1, 22, 21)
    assert report.bots[0].day == "2026-03-02"


def test_a_spike_is_flagged_and_kept(tmp_path: Path) -> None:
    extra = [event(n + 480, timestamp=START + timedelta(days=12, minutes=n)) for n in range(60)]
    report = check(tmp_path, interactions=[*events(480), *extra])
    assert [(table, day.day) for table, day in report.spikes] == [("interactions", "2026-03-13")]
    assert quarantined(tmp_path) == {}


def test_every_row_stands_in_exactly_one_place_and_the_reader_is_the_same(tmp_path: Path) -> None:
    check(tmp_path, interactions=events(row_3={"user_id": None}, row_4={"price": -1.0}), items=[{"item_id": "i1"}])
    source, clean = PreparedTables.open(tmp_path / "tables"), PreparedTables.open(tmp_path / "clean")
    for table in TABLES:
        rows = source.read(table)["row"].to_pylist()
        assert sorted([*clean_rows(tmp_path, table), *quarantined(tmp_path, table)]) == sorted(rows)
        types = [(field.name, field.type) for field in source.read(table).schema]
        assert [(field.name, field.type) for field in clean.read(table).schema] == types
    times = clean.interactions["timestamp"].to_pylist()
    assert times == sorted(times)
    assert clean.config == source.config


def test_the_report_is_a_page_without_network_that_escapes_what_it_shows(tmp_path: Path) -> None:
    report = check(tmp_path, interactions=events(row_3={"user_id": None, "item_id": "<script>x</script>"}))
    page = (tmp_path / "report.html").read_text()
    assert "null_user_id" in page
    assert "user_id=null" in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "http" not in page
    assert QualityReport.read(tmp_path / "quarantine") == report


def test_only_bots_left_is_refused_after_the_report(tmp_path: Path) -> None:
    busy = [event(n, user_id="robot", timestamp=START + timedelta(seconds=n)) for n in range(30)]
    with pytest.raises(DatasetError, match=r"no usable row among 30: all belong to users with over 10 events a day\.$"):
        check(tmp_path, config(quality={"maximum_daily_events": 10}), interactions=busy)
    assert (tmp_path / "report.html").is_file()
    assert not (tmp_path / "clean" / "dataset.json").exists()


def test_no_event_of_an_objective_left_is_refused(tmp_path: Path) -> None:
    looks = [{**row, "event_type": "look"} for row in events()]
    bought = [event(n, event_type="purchase", user_id="robot", timestamp=START) for n in range(11)]
    with pytest.raises(DatasetError, match="objective"):
        check(tmp_path, config(quality={"maximum_daily_events": 10}), interactions=[*looks, *bought])
