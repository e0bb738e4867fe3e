"""Implausible times are named before anything is learned from them: refused with the unit that fits, or a warning."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.ingest import ingest
from feature_repo.errors import DatasetError
from tests.components.ingest.conftest import START, DatasetFactory

NOON = START + timedelta(hours=12)
SECONDS = int(NOON.timestamp()) + 3600 * np.arange(400)


def log(times: pa.Array) -> pa.Table:
    size = len(times)
    users, items = ([f"{letter}{n % 9}" for n in range(size)] for letter in "ui")
    return pa.table({"user_id": users, "item_id": items, "event_type": ["view"] * size, "timestamp": times})


@pytest.mark.parametrize(
    ("unit", "scale", "words"),
    [
        ("ns", 1, "seconds read as nanoseconds"),
        ("us", 1, "seconds read as microseconds"),
        ("ms", 1, "seconds read as milliseconds or milliseconds read as .*"),
        ("ms", 1_000_000, ".*microseconds read as milliseconds.*"),
    ],
)
def test_a_table_in_another_unit_is_refused(dataset: DatasetFactory, unit: str, scale: int, words: str) -> None:
    folder = dataset(interactions=log(pa.array(SECONDS * scale, pa.timestamp(unit))))
    when = "1970" if scale == 1 else "the year"
    dates = f"{NOON:%Y-%m-%d} to {NOON + timedelta(hours=399):%Y-%m-%d}"
    with pytest.raises(DatasetError, match=f"begins in .*{when}.* fit {words}, which would be {dates}; write the"):
        ingest(folder, folder.parent / "tables")
    assert not (folder.parent / "tables").exists()


@pytest.mark.parametrize(
    ("table", "column"), [("items", "created_at"), ("items", "valid_from"), ("users", "signup_at")]
)
def test_a_column_in_another_unit_is_refused(dataset: DatasetFactory, table: str, column: str) -> None:
    key = f"{table[:-1]}_id"
    ids = {key: [f"{table[0]}{n}" for n in range(9)]}
    words = f"^The column {column} of {table} begins in 1970, and all its 9 times .* seconds read as nanoseconds, which"
    folder = dataset(**{table: pa.table({**ids, column: pa.array(SECONDS[:9], pa.timestamp("ns"))})})
    with pytest.raises(DatasetError, match=words):
        ingest(folder, folder.parent / "tables")


def test_unknown_dates_and_old_dates_are_no_unit_error(dataset: DatasetFactory, tmp_path: Path) -> None:
    ids = [f"i{n}" for n in range(3)]
    for name, days in (("zero", [0, 0, 0]), ("books", [-7000, 400, 4000]), ("never", [2932896] * 3)):
        dates = pa.array(days, pa.int32()).view(pa.date32())
        items = pa.table({"item_id": ids, "created_at": dates, "valid_from": dates})
        assert ingest(dataset(items=items), tmp_path / name)["warnings"] == []


def test_some_early_rows_are_a_warning(
    dataset: DatasetFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = SECONDS * 10**9
    times[:40] = SECONDS[:40]
    description = ingest(dataset(interactions=log(pa.array(times, pa.timestamp("ns")))), tmp_path / "tables")
    (warning,) = description["warnings"]
    assert "begins in 1970: 40 of 400 rows lie before 1990" in warning
    assert "seconds read as nanoseconds" in warning
    assert f"warning: {warning}" in capsys.readouterr().err


def test_a_log_of_seconds_is_a_warning_and_a_usual_log_is_none(dataset: DatasetFactory, tmp_path: Path) -> None:
    times = int(START.timestamp()) * 10**6 + 100_000 * np.arange(400)
    found = ingest(dataset(interactions=log(pa.array(times, pa.timestamp("us")))), tmp_path / "short")["warnings"]
    when = f"All 400 rows of interactions lie within 39.9 s of {START:%Y-%m-%d}"
    assert found == [f"{when}: check the unit of the column timestamp."]
    usual = dataset(interactions=log(pa.array(SECONDS * 10**6, pa.timestamp("us"))))
    assert ingest(usual, tmp_path / "usual")["warnings"] == []
