"""Measures drift between the newest span and the span before it, with TFDV's comparators.

Compares the test span with a span of the same length before it; the stored schema holds the thresholds. Runs in the
TFDV environment. Drift is reported and never stops a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.validation.tfdv.columns import record_batch
from components.validation.tfdv.engine import generate, tfdv

LEAST_ROWS = 500
TAILS = (1.0, 99.0)  # percentiles
MEASURES = {
    "L_INFTY": "L-infinity",
    "JENSEN_SHANNON_DIVERGENCE": "Jensen-Shannon",
    "NORMALIZED_ABSOLUTE_DIFFERENCE": "absolute difference",
}


@dataclass(frozen=True, slots=True)
class Spans:
    """Bounds in unix seconds: `previous` <= t < `newest` is compared with `newest` <= t <= `end`."""

    previous: float
    newest: float
    end: float

    @classmethod
    def of(cls, split: Mapping[str, float]) -> Spans:
        """The test span, and a span of the same length before it (cut at the log's start)."""
        start, end = split["test_start"], split["log_end"]
        return cls(max(start - (end - start), split["log_start"]), start, end)


@dataclass(frozen=True, slots=True)
class Drift:
    """Distance between a column's values in both spans; `drifted` if it exceeds the threshold."""

    table: str
    column: str
    measure: str
    value: float
    threshold: float
    drifted: bool


def measure_drift(
    table: str, columns: Mapping[str, pa.Array], times: npt.NDArray[np.float64], spans: Spans, schema: Any
) -> list[Drift]:
    """Drift of every column with a comparator in the schema, sorted by distance beyond the threshold, largest first.

    Args:
        table: Name of the table.
        columns: Result of `columns.present` [n].
        times: Event times in unix seconds [n].
        spans: The spans to compare.
        schema: The stored schema.

    Returns:
        Drift by column; empty if either span has fewer than 500 rows.
    """
    before = (times >= spans.previous) & (times < spans.newest)
    newest = (times >= spans.newest) & (times <= spans.end)
    if min(before.sum(), newest.sum()) < LEAST_ROWS:
        return []
    known = {feature.name for feature in schema.feature if feature.HasField("drift_comparator")}
    compared = {name: _without_tails(column, before | newest) for name, column in columns.items() if name in known}
    if not compared:
        return []
    found = tfdv().validate_statistics(
        generate(record_batch(compared, newest)), schema, previous_statistics=generate(record_batch(compared, before))
    )
    measured = [
        Drift(
            table=table,
            column=".".join(info.path.step),
            measure=MEASURES.get(type(one).Type.Name(one.type), "other"),
            value=round(one.value, 6),
            threshold=one.threshold,
            drifted=one.value > one.threshold,
        )
        for info in found.drift_skew_info
        for one in info.drift_measurements
        if one.value == one.value
    ]
    return sorted(measured, key=lambda one: (one.threshold - one.value, one.column))


def _without_tails(column: pa.Array, compared: npt.NDArray[np.bool_]) -> pa.Array:
    """Numbers clipped to the middle 98 % of both spans together.

    TFDV compares histograms of equal width over the whole range. Without clipping, a single outlier in either span
    would look like complete drift.
    """
    if pa.types.is_string(column.type):
        return column
    values = np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False))
    if np.isnan(values[compared]).all():
        return column
    low, high = np.nanpercentile(values[compared], TAILS, method="nearest")
    held = pa.array(np.clip(values, low, high), from_pandas=True)
    return held.cast(column.type)
