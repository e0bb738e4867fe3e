"""Labels of impressions: from columns of the dataset, joined from events, or absent."""

import math
from datetime import timedelta

import pyarrow as pa

from tests.components.ingest.conftest import CONFIG, START, DatasetFactory
from tests.components.ingest.tables import MICROSECONDS, column, impressions, prepared


def test_labels_of_own_columns_mean_any_of_a_list(dataset: DatasetFactory) -> None:
    shown = impressions(
        is_click=pa.array([1, 0, None, 1], pa.int8()),
        liked=[True, False, False, None],
        followed=pa.array([0.0, 1.0, 0.0, math.nan]),
        position=pa.array([0.0, 1.0, math.nan, -1.0]),
        propensity=[0.5, 0.0, 1.5, math.nan],
    )
    config = CONFIG + '[columns.impressions]\nclick = "is_click"\nconvert = ["liked", "followed"]\n'
    tables = prepared(dataset(config, impressions=shown))
    assert column(tables, "impressions", "label_click") == [1, 0, 0, 1]
    assert column(tables, "impressions", "label_convert") == [1, 1, 0, 0]
    assert column(tables, "impressions", "grade") == [2, 2, 0, 1]
    assert column(tables, "impressions", "position") == [0, 1, None, None]
    assert column(tables, "impressions", "propensity") == [0.5, None, None, None]
    assert tables.has_slates
    assert tables.has_positions
    assert tables.description["label_sources"] == {"click": "column", "convert": "column"}


def test_labels_are_joined_through_user_request_and_item(dataset: DatasetFactory) -> None:
    log = pa.table(
        {
            "user_id": ["u0", "u0", "u1", "u2", "u2", "u1", "u2"],
            "item_id": ["i0", "i0", "i0", "i2", "i9", "i1", "i0"],
            "event_type": ["view", "purchase", "view", "return", "view", "view", "return"],
            "timestamp": pa.array([START + timedelta(days=1, minutes=5)] * 7, MICROSECONDS),
            "request_id": ["r1", "r1", None, "r3", "r3", "r1", "r1"],
        }
    )
    tables = prepared(dataset(interactions=log, impressions=impressions()))
    assert column(tables, "impressions", "label_click") == [1, 0, 0, 0]
    assert column(tables, "impressions", "label_convert") == [1, 0, 0, 0]
    assert column(tables, "impressions", "grade") == [2, 0, 0, -1]
    assert tables.description["label_sources"] == {"click": "joined", "convert": "joined"}


def test_labels_that_nothing_tells_are_null(dataset: DatasetFactory) -> None:
    tables = prepared(dataset(impressions=impressions()))
    assert column(tables, "impressions", "label_click") == [None] * 4
    assert column(tables, "impressions", "grade") == [0] * 4
    assert tables.description["label_sources"] == {"click": "absent", "convert": "absent"}
