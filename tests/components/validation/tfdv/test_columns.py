"""Columns as TFDV reads them, histograms a person can read, and schemas behind a URL: all without TFDV."""

from datetime import timedelta
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.validation.tfdv.columns import present, read_sample, record_batch
from components.validation.tfdv.drift import Spans
from components.validation.tfdv.schema import kept_schemas
from components.validation.tfdv.summary import bars
from feature_repo.storage.files import write_parquet
from tests.kit.prepared_tables import START


def test_times_become_numbers_and_empty_columns_go() -> None:
    moments = [START, START + timedelta(hours=30), None]
    table = pa.table(
        {
            "row": [0, 1, 2],
            "timestamp": pa.array(moments, pa.timestamp("us", tz="UTC")),
            "in_stock": [True, None, False],
            "device": pa.nulls(3, pa.string()),
        }
    )
    columns = present(table, (START + timedelta(days=2)).timestamp())
    assert columns["timestamp_age_days"].to_pylist() == [2.0, 0.75, None]
    assert columns["timestamp_hour"].to_pylist() == [0, 6, None]
    assert columns["timestamp_weekday"].to_pylist() == [6, 0, None]  # a Sunday and a Monday
    assert columns["in_stock"].to_pylist() == [1, None, 0]
    assert set(columns) == {"timestamp_age_days", "timestamp_hour", "timestamp_weekday", "in_stock"}
    batch = record_batch(columns, np.array([True, False, True]))
    assert batch.column("in_stock").to_pylist() == [[1], [0]]
    assert batch.column("timestamp_hour").to_pylist() == [[0], None]


def test_a_large_table_is_sampled_evenly(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t.parquet", pa.table({"n": list(range(1_000))}))
    sample, num_rows = read_sample(tmp_path / "t.parquet", maximum=300)
    assert num_rows == 1_000
    assert sample["n"].to_pylist() == list(range(0, 1_000, 4))


def test_one_far_value_does_not_flatten_the_histogram() -> None:
    values = np.append(np.linspace(1, 9, 999), 1e9)
    edges, weights, axis = bars(values)
    assert axis == "linear"
    assert edges[-1] < 10
    assert np.count_nonzero(weights) == len(weights)


def test_whole_numbers_get_a_bar_each_and_skewed_columns_a_log_axis() -> None:
    edges, weights, axis = bars(np.array([3.0, 3.0, 5.0, 6.0]))
    assert (edges, weights, axis) == ([2.5, 3.5, 4.5, 5.5, 6.5], [0.5, 0.0, 0.25, 0.25], "whole")
    assert bars(np.geomspace(1, 1e6, 500))[2] == "log"
    assert bars(np.array([0.25]))[1] == [1.0]


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=50))
def test_bars_hold_every_value(values: list[float]) -> None:
    edges, weights, _ = bars(np.array(values))
    assert len(edges) == len(weights) + 1
    assert sum(weights) == pytest.approx(1.0, abs=1e-4)
    assert edges == sorted(edges)


def test_spans_are_as_long_as_the_test_span_and_inside_the_log() -> None:
    split = {"log_start": 0.0, "test_start": 80.0, "log_end": 100.0}
    assert Spans.of(split) == Spans(60.0, 80.0, 100.0)
    assert Spans.of({**split, "log_start": 70.0}).previous == 70.0


def test_schemas_behind_a_url_are_fetched_and_written_back() -> None:
    store = "memory://stores/shop"
    with kept_schemas(store) as folder:
        assert list(folder.iterdir()) == []
        (folder / "items.pbtxt").write_text("one")
    with kept_schemas(store) as folder:
        assert (folder / "items.pbtxt").read_text() == "one"
        (folder / "items.pbtxt").write_text("two")
    assert fsspec.filesystem("memory").cat("/stores/shop/schema/items.pbtxt") == b"two"
