"""Columns that ingest cannot prepare are refused by file, column and row; the engine is bounded."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.ingest.preparation import connect
from tests.components.ingest.conftest import CONFIG, START, DatasetFactory, interactions
from tests.components.ingest.refusals import refusal, replaced


def test_missing_column(dataset: DatasetFactory) -> None:
    message = refusal(dataset(interactions=interactions().drop_columns(["event_type"])))
    assert "interactions.parquet has no column 'event_type'" in message


def test_missing_renamed_column_names_the_key(dataset: DatasetFactory) -> None:
    message = refusal(dataset(CONFIG + '[columns.interactions]\nsession_id = "visit"\n'))
    assert "no column 'visit'" in message
    assert "columns.interactions.session_id" in message


def test_missing_extra_column_names_the_key(dataset: DatasetFactory) -> None:
    config = CONFIG + '[features.items]\nnumerical = ["weight"]\n'
    message = refusal(dataset(config, items=pa.table({"item_id": ["i1"]})))
    assert "items.parquet has no column 'weight'" in message
    assert "features.items.numerical" in message


def test_a_column_missing_in_one_file_names_that_file(dataset: DatasetFactory) -> None:
    directory = dataset()
    (directory / "interactions.parquet").rename(directory / "a.parquet")
    (directory / "interactions").mkdir()
    (directory / "a.parquet").rename(directory / "interactions" / "a.parquet")
    pq.write_table(interactions().drop_columns(["user_id"]), directory / "interactions" / "b.parquet")
    assert "b.parquet has no column 'user_id'" in refusal(directory)


def test_text_timestamp(dataset: DatasetFactory) -> None:
    message = refusal(dataset(interactions=replaced("timestamp", pa.array(["2024-01-01T00:00:00Z"]))))
    assert "column 'timestamp' is of type string; it must hold timestamps or dates" in message


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("timestamp", pa.array([1_700_000_000]), "timestamps or dates"),
        ("user_id", pa.array([True]), "text or whole numbers"),
        ("event_type", pa.array([1]), "text"),
        ("price", pa.array(["9.99"]), "numbers"),
        ("quantity", pa.array([[1]]), "numbers"),
    ],
)
def test_wrong_type(dataset: DatasetFactory, column: str, values: pa.Array, expected: str) -> None:
    message = refusal(dataset(interactions=replaced(column, values)))
    assert f"interactions.parquet: column '{column}' is of type" in message
    assert f"it must hold {expected}" in message


def test_an_id_with_a_fraction_names_the_row(dataset: DatasetFactory) -> None:
    message = refusal(dataset(interactions=replaced("user_id", pa.array([1.0, None, 2.5, 3.5]))))
    assert "column 'user_id' holds 2.5 in row 2 (counted from 0)" in message


@pytest.mark.parametrize(
    ("column", "values", "shown"),
    [("in_stock", pa.array([1, 0, 2]), "2"), ("in_stock", pa.array([0.0, 1.0, 0.5]), "0.5")],
)
def test_a_flag_that_is_neither_0_nor_1_names_the_row(
    dataset: DatasetFactory, column: str, values: pa.Array, shown: str
) -> None:
    items = pa.table({"item_id": ["a", "b", "c"], column: values})
    assert f"column '{column}' holds {shown} in row 2" in refusal(dataset(items=items))


def test_a_label_that_is_neither_0_nor_1_names_the_row(dataset: DatasetFactory) -> None:
    shown = pa.table(
        {
            "request_id": ["r", "r"],
            "user_id": ["u0", "u0"],
            "item_id": ["i0", "i1"],
            "timestamp": pa.array([START] * 2, pa.timestamp("us", tz="UTC")),
            "click": [0, 3],
        }
    )
    assert "impressions.parquet: column 'click' holds 3 in row 1" in refusal(dataset(impressions=shown))


def test_the_engine_spills_instead_of_growing(tmp_path: Path) -> None:
    with connect(tmp_path) as connection:
        limit, zone = connection.execute(
            "SELECT current_setting('memory_limit'), current_setting('TimeZone')"
        ).fetchone() or ("", "")
    assert limit.endswith("GiB")
    assert float(limit.split()[0]) < 2
    assert zone == "UTC"
    assert duckdb.__version__
