"""Values out of bounds and ids of the wrong form: a row is set aside for what decides it, else the value is missing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.validation.rows.checks import check_rows
from feature_repo.dataset.tables import PreparedTables
from tests.kit.prepared_tables import START, Row, config, event, make_served, write_prepared

ASIDE: tuple[tuple[Row, str], ...] = (
    ({"price": 1e17}, "extreme_price"),
    ({"price": 1.8e308}, "extreme_price"),
    ({"quantity": 1e300}, "extreme_quantity"),
    ({"quantity": -1e10}, "extreme_quantity"),
    ({"value": 1e39}, "extreme_value"),
    ({"user_id": "x" * 257}, "unusable_user_id"),
    ({"user_id": "nul\0byte"}, "unusable_user_id"),
    ({"item_id": "line\nbreak"}, "unusable_item_id"),
    ({"item_id": "next\x85line"}, "unusable_item_id"),
    ({"event_type": "x" * 65}, "unusable_event_type"),
)
MISSING: tuple[tuple[Row, str], ...] = (
    ({"device": "Mozilla/5.0 " * 9}, "device"),
    ({"country": "S\tE"}, "country"),
    ({"session_id": "x" * 257}, "session_id"),
    ({"request_id": "a\rb"}, "request_id"),
    ({"event_id": "\x7f"}, "event_id"),
)
KEPT: tuple[Row, ...] = (
    {"price": 1e12},
    {"price": -0.0},
    {"quantity": -1e9},
    {"value": -1e38},
    {"user_id": " "},
    {"user_id": "x" * 256},
    {"item_id": "\u2028\u202e%2F|007"},
    {"device": "é" * 64},
)


def test_each_unusable_value_is_found_and_the_rest_is_learned_from(tmp_path: Path) -> None:
    changes = [*(change for change, _ in ASIDE), *(change for change, _ in MISSING), *KEPT]
    rows = [event(number, **(changes[number] if number < len(changes) else {})) for number in range(400)]
    items: list[dict[str, Any]] = [
        {"item_id": "i1", "title": "Lamp", "price": 1e17, "rating": 1e39, "weight": 1.8e308, "min_age": 18.0},
        {"item_id": "i2", "title": "Rug", "price": 7.0, "weight": -1e38, "seller_id": "a\nb"},
        {"item_id": "i\n3", "title": "Vase"},
    ]
    users = [{"user_id": "u1", "points": -3.4028234663852886e38, "country": "x" * 65}, {"user_id": "u2", "points": 1.0}]
    settings = config(features={"items": {"numerical": ["weight"]}, "users": {"numerical": ["points"]}})
    tables = write_prepared(tmp_path / "tables", settings, interactions=rows, items=items, users=users)
    report = check_rows(
        tables, tmp_path / "clean", tmp_path / "quarantine", tmp_path / "page.html", now=START.timestamp() + 9e6
    )

    aside = pq.read_table(tmp_path / "quarantine" / "interactions.parquet").to_pylist()
    assert {row["row"]: row["reasons"] for row in aside} == {n: reason for n, (_, reason) in enumerate(ASIDE)}
    clean = PreparedTables.open(tmp_path / "clean")
    kept = {row["row"]: row for row in clean.interactions.to_pylist()}
    assert len(kept) == 400 - len(ASIDE)
    for number, (_, column) in enumerate(MISSING, start=len(ASIDE)):
        assert kept[number][column] is None
        assert kept[number]["price"] == rows[number]["price"]
    for number, change in enumerate(KEPT, start=len(ASIDE) + len(MISSING)):
        assert {name: kept[number][name] for name in change} == change

    lamp, rug = clean.items.to_pylist()
    assert (lamp["title"], lamp["min_age"], lamp["price"], lamp["rating"], lamp["weight"]) == (
        "Lamp", 18.0, None, None, None,
    )  # fmt: skip
    assert (rug["price"], rug["weight"], rug["seller_id"]) == (7.0, -1e38, None)
    assert [(row["points"], row["country"]) for row in clean.users.to_pylist()] == [(None, None), (1.0, None)]
    assert pq.read_table(tmp_path / "quarantine" / "items.parquet")["reasons"].to_pylist() == ["unusable_item_id"]

    assert report.tables["items"].bad == 1
    assert "values read as missing: interactions: " in report.summary()
    assert "items: unusable_seller_id 1, extreme_price 1, extreme_rating 1, extreme_weight 1" in report.summary()
    page = (tmp_path / "page.html").read_text()
    assert "Values of items read as missing" in page
    assert "price is not between 0 and 1e+12" in page


def test_rows_of_the_log_do_not_count_in_the_gated_rate(tmp_path: Path) -> None:
    """Otherwise any client of the servers could stop the training."""
    rows = [event(number, **({"price": 1e17} if number >= 300 else {})) for number in range(500)]
    tables = write_prepared(
        tmp_path / "tables", config(), interactions=[*rows[:299], event(299, price=-1.0), *rows[300:]]
    )
    make_served(tables, interactions=300)
    report = check_rows(
        tables, tmp_path / "clean", tmp_path / "quarantine", tmp_path / "page.html", now=START.timestamp() + 9e6
    )
    assert report.rate == 299 / 300
    assert report.passed
    assert "quarantined rows of the log: interactions: 200 of 200" in report.summary()


def test_old_times_in_the_log_do_not_move_its_start(tmp_path: Path) -> None:
    """Clients may post any time since 1970; the times of the dataset itself keep their meaning."""
    rows = [event(number) for number in range(300)]
    posted = [event(n, timestamp=START - timedelta(days=60 * (n - 299))) for n in range(300, 400)]
    late = event(400, timestamp=START - timedelta(days=30))
    tables = write_prepared(tmp_path / "tables", config(), interactions=[*rows, *posted, late])
    make_served(tables, interactions=300)
    check_rows(tables, tmp_path / "clean", tmp_path / "quarantine", tmp_path / "page.html", now=START.timestamp() + 9e6)
    aside = pq.read_table(tmp_path / "quarantine" / "interactions.parquet").to_pylist()
    assert [row["row"] for row in aside] == list(range(306, 400))
    assert {row["reasons"] for row in aside} == {"outlying_time"}
    assert PreparedTables.open(tmp_path / "clean").split.log_start == (START - timedelta(days=360)).timestamp()
