"""Summarises a column for `statistics.json` and the page: TFDV's figures, with a histogram or the top values.

Histogram and top values are counted here. TFDV's histograms have equal width over the whole range, so that a single
outlier empties them, and its top values are estimates. Runs in the TFDV environment, but does not import TFDV.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

NUM_SHOWN_VALUES = 8
NUM_BINS = 24
TAIL_PERCENT = 1.0
SKEWED = 50.0
LONGEST_VALUE = 60


def summarise(statistics: Any, columns: Mapping[str, pa.Array]) -> list[dict[str, Any]]:
    """An entry for each column, in order; see `_number` and `_text` for the keys."""
    return [_column(feature, columns[feature.path.step[0]]) for feature in statistics.datasets[0].features]


def _column(feature: Any, values: pa.Array) -> dict[str, Any]:
    kind = feature.WhichOneof("stats")
    stats = getattr(feature, kind)
    counts = {"present": int(stats.common_stats.num_non_missing), "missing": int(stats.common_stats.num_missing)}
    described = _number(stats, values) if kind == "num_stats" else _text(stats, values)
    return {"name": feature.path.step[0], **counts, **described}


def _number(stats: Any, values: pa.Array) -> dict[str, Any]:
    """Moments, bounds and zeros; edges [n + 1], weights [n] and axis of a histogram."""
    edges, weights, axis = bars(np.asarray(values.drop_null().to_numpy(zero_copy_only=False), dtype=np.float64))
    return {
        "kind": "number",
        "mean": _finite(stats.mean),
        "deviation": _finite(stats.std_dev),
        "least": _finite(stats.min),
        "median": _finite(stats.median),
        "greatest": _finite(stats.max),
        "zeros": int(stats.num_zeros),
        "edges": edges,
        "weights": weights,
        "axis": axis,
    }


def _text(stats: Any, values: pa.Array) -> dict[str, Any]:
    """Number of distinct values, mean length, and the most frequent values with shares (empty if all values differ)."""
    known = values.drop_null()
    counts = pc.value_counts(known)
    order = pc.sort_indices(pc.struct_field(counts, [1]), sort_keys=[("", "descending")])[:NUM_SHOWN_VALUES]
    top = [
        (str(entry["values"])[:LONGEST_VALUE], round(entry["counts"] / len(known), 6))
        for entry in counts.take(order).to_pylist()
    ]
    return {
        "kind": "text",
        "distinct": len(counts),
        "length": _finite(stats.avg_length),
        "top": top if len(counts) < len(known) else [],
    }


def bars(values: npt.NDArray[np.float64]) -> tuple[list[float], list[float], str]:
    """A readable histogram.

    Args:
        values: Finite values [n], n >= 1.

    Returns:
        Edges [b + 1], shares [b] that sum to 1, and the axis: whole, log or linear. Whole numbers with a small range
        have a bar each. Otherwise the lowest and highest percent fall into the outermost bars, so that an outlier does
        not flatten the rest, and a column that spans more than a factor of 50 has a log axis.
    """
    low, middle, high = np.percentile(values, [TAIL_PERCENT, 50.0, 100 - TAIL_PERCENT])
    whole = values.max() - values.min() < NUM_BINS and bool((values == np.round(values)).all())
    is_log = not whole and bool(low > 0 and high > SKEWED * low and middle < (low + high) / 4)
    if whole:
        edges = np.arange(values.min(), values.max() + 2) - 0.5
    elif not high > low:
        edges = np.array([low - 0.5, low + 0.5])
    else:
        edges = np.geomspace(low, high, NUM_BINS + 1) if is_log else np.linspace(low, high, NUM_BINS + 1)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    axis = "whole" if whole else "log" if is_log else "linear"
    return [float(edge) for edge in edges], [round(float(count) / len(values), 6) for count in counts], axis


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
