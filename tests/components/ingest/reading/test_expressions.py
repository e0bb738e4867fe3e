"""Ingest keeps the contract: what an owner's types become."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.ingest.reading.expressions import read_folder
from feature_repo.storage.quoting import literal
from tests.components.ingest.conftest import CONFIG, START, DatasetFactory, interactions
from tests.components.ingest.tables import column, impressions, prepared, with_column

MICROSECONDS = pa.timestamp("us", tz="UTC")
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([1, 2**62 + 1, None]), ["1", str(2**62 + 1), None]),
        (pa.array([7, 2**64 - 1, 0], pa.uint64()), ["7", str(2**64 - 1), "0"]),
        (pa.array([17850.0, None, math.nan]), ["17850", None, None]),
        (pa.array([Decimal(2**70), Decimal(-3), None], pa.decimal128(38, 0)), [str(2**70), "-3", None]),
        (pa.array(["007", "", None]), ["007", None, None]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array(["a", "b", "a"], pa.large_string()), ["a", "b", "a"]),
    ],
)
def test_ids_become_text(dataset: DatasetFactory, values: pa.Array, expected: list) -> None:
    tables = prepared(dataset(interactions=with_column(interactions(3), "user_id", values)))
    assert column(tables, "interactions", "user_id") == expected


@few
@given(ids=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_any_integer_id_is_its_decimal_text(dataset: DatasetFactory, ids: list[int]) -> None:
    table = with_column(interactions(len(ids)), "item_id", pa.array(ids, pa.int64()))
    assert column(prepared(dataset(interactions=table)), "interactions", "item_id") == [str(value) for value in ids]


@few
@given(ids=st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=20))
def test_any_whole_float_id_is_its_decimal_text(dataset: DatasetFactory, ids: list[int]) -> None:
    table = with_column(interactions(len(ids)), "item_id", pa.array([float(value) for value in ids]))
    assert column(prepared(dataset(interactions=table)), "interactions", "item_id") == [str(value) for value in ids]


@few
@given(
    nanos=st.lists(st.integers(-(10**18), 17 * 10**17), min_size=1, max_size=20),
    zone=st.sampled_from([None, "UTC", "America/New_York", "+05:30"]),
)
def test_nanoseconds_become_the_microsecond_they_lie_in(
    dataset: DatasetFactory, nanos: list[int], zone: str | None
) -> None:
    nanos = [*nanos, 17 * 10**17]  # a log of early times alone has the wrong unit
    times = pa.array(nanos, pa.timestamp("ns", tz=zone))
    tables = prepared(dataset(interactions=with_column(interactions(len(nanos)), "timestamp", times)))
    read = tables.read("interactions", ["row", "timestamp"]).sort_by("row")["timestamp"].cast(pa.int64())
    assert read.to_pylist() == [value // 1000 for value in nanos]


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
def test_times_without_a_zone_are_utc_and_others_keep_their_moment(
    dataset: DatasetFactory, unit: str, zone: str | None
) -> None:
    seconds = 1_700_000_000
    times = pa.array([seconds], pa.int64()).cast(pa.timestamp("s")).cast(pa.timestamp(unit))
    times = times.cast(pa.timestamp(unit, tz=zone)) if zone else times
    tables = prepared(dataset(interactions=with_column(interactions(1), "timestamp", times)))
    assert column(tables, "interactions", "timestamp") == [datetime.fromtimestamp(seconds, UTC)]


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_dates_are_midnight_utc(dataset: DatasetFactory, kind: pa.DataType) -> None:
    days = pa.array([date(2024, 2, 29)], kind)
    tables = prepared(dataset(interactions=with_column(interactions(1), "timestamp", days)))
    assert column(tables, "interactions", "timestamp") == [datetime(2024, 2, 29, tzinfo=UTC)]


def test_int96_timestamps_of_older_writers_are_read(dataset: DatasetFactory) -> None:
    directory = dataset()
    pq.write_table(interactions(), directory / "interactions.parquet", use_deprecated_int96_timestamps=True)
    assert column(prepared(directory), "interactions", "timestamp")[1] == START + timedelta(hours=8)


def test_numbers_that_are_not_finite_are_missing(dataset: DatasetFactory) -> None:
    table = interactions(4).append_column("price", pa.array([1.5, math.nan, math.inf, None]))
    table = table.append_column("quantity", pa.array([1, 2, None, 4], pa.int8()))
    table = table.append_column("value", pa.array([Decimal("2.50")] * 4))
    tables = prepared(dataset(interactions=table))
    assert column(tables, "interactions", "price") == [1.5, None, None, None]
    assert column(tables, "interactions", "quantity") == [1.0, 2.0, None, 4.0]
    assert column(tables, "interactions", "value") == [2.5] * 4


def test_items_are_read_in_every_form_the_contract_allows(dataset: DatasetFactory) -> None:
    items = pa.table(
        {
            "item_id": [1, 2, 3, 4],
            "in_stock": pa.array([1.0, 0.0, math.nan, None]),
            "regions": [["GB", "FR"], [], None, ["DE", ""]],
            "category": pa.array([9.0, 9.5, math.nan, None]),
            "tags": [["a", "b"], None, [], ["c"]],
            "colours": [["red", "blue"], None, [], ["green"]],
            "weight": pa.array([1, 2, None, 4]),
            "created_at": pa.array([date(2024, 1, 1)] * 4),
        }
    )
    config = CONFIG + '[features.items]\ncategorical = ["colours"]\nnumerical = ["weight", "price"]\n'
    tables = prepared(dataset(config, items=items))
    assert column(tables, "items", "item_id") == ["1", "2", "3", "4"]
    assert column(tables, "items", "in_stock") == [True, False, None, None]
    assert column(tables, "items", "regions") == ["GB|FR", None, None, "DE"]
    assert column(tables, "items", "category") == ["9", "9.5", None, None]
    assert column(tables, "items", "colours") == ["red|blue", None, None, "green"]
    assert column(tables, "items", "weight") == [1.0, 2.0, None, 4.0]
    assert column(tables, "items", "created_at") == [datetime(2024, 1, 1, tzinfo=UTC)] * 4
    assert "tags" not in tables.items.column_names


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([True, False, None]), [True, False, None]),
        (pa.array([1, 0, None], pa.int8()), [True, False, None]),
    ],
)
def test_stock_is_a_flag(dataset: DatasetFactory, values: pa.Array, expected: list) -> None:
    items = pa.table({"item_id": ["a", "b", "c"], "in_stock": values, "regions": ["GB, FR", "GB|FR", ""]})
    tables = prepared(dataset(items=items))
    assert column(tables, "items", "in_stock") == expected
    assert column(tables, "items", "regions") == ["GB|FR", "GB|FR", None]


def test_nan_is_missing_also_where_the_statistics_of_the_file_leave_it_out(dataset: DatasetFactory) -> None:
    shown = impressions(propensity=[0.5, 0.25, math.nan, 0.5], click=[0.0, 1.0, math.nan, 0.0])
    tables = prepared(dataset(impressions=shown))
    assert column(tables, "impressions", "propensity") == [0.5, 0.25, None, 0.5]
    assert column(tables, "impressions", "label_click") == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("text", "reading", "expected"),
    [("inf", "number", None), ("nan", "number", None), ("-2.5", "number", -2.5), ("infinity", "time", None)],
)
def test_a_folder_holds_finite_values_only(text: str, reading: str, expected: float | None) -> None:
    expression = read_folder(literal(text), reading)
    assert expression is not None
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {expression.sql}, {expression.bad}").fetchone()
    assert found == (expected, False)
