"""The distribution of every watched column over replayed slates, day by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from inference.drift.bins import Bins
from inference.drift.reference import ReferenceColumn
from inference.drift.watched import Counted, Watched

SAMPLE_ROWS, SAMPLE_REQUESTS = 20_000, 2_000

Counts = tuple[tuple[int, ...], ...]


def profile(
    tables: Mapping[Counted, pa.Table],
    labels: Mapping[str, npt.NDArray[np.float64]] | str,
    label_days: npt.NDArray[np.int64],
    columns: Sequence[Watched],
    days: npt.NDArray[np.float64],
) -> tuple[ReferenceColumn, ...]:
    """The columns of a reference.

    Args:
        tables: Ranked slates with the columns of the impression log, from `counted_tables`.
        labels: Label column -> 0/1 of the items that the log itself showed [n]; or the reason why there are no labels.
        label_days: Day of each label [n].
        columns: The watched columns.
        days: Start of each day, ascending unix seconds.
    """
    day_of = {counted: days_of(table, days) for counted, table in tables.items()}
    made = []
    for column in columns:
        if column.kind != "label":
            values, when = column.values(tables[column.counted]), day_of[column.counted]
        elif isinstance(labels, str):
            made.append(ReferenceColumn(name=column.name, absent=labels))
            continue
        else:
            values, when = labels[column.name], label_days
        bins = Bins.deciles(values) if column.names is None else Bins.table(values, dict(column.names))
        made.append(ReferenceColumn(name=column.name, bins=bins, counts=_by_day(values, when, bins, len(days))))
    return tuple(made)


def days_of(table: pa.Table, days: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Index of the day of each row [n]."""
    times = pc.cast(table["timestamp"], pa.int64()).to_numpy() / 1e6
    return np.asarray(np.maximum(np.searchsorted(days, times, side="right") - 1, 0), dtype=np.int64)


def sample(shown: pa.Table, seed: int) -> pa.Table:
    """All rows of a sample of requests: at most `SAMPLE_REQUESTS` requests and `SAMPLE_ROWS` rows."""
    ids = shown["request_id"].combine_chunks().dictionary_encode()
    codes = ids.indices.to_numpy()
    order = np.random.default_rng(seed).permutation(len(ids.dictionary))[:SAMPLE_REQUESTS]
    sizes = np.bincount(codes, minlength=len(ids.dictionary))[order]
    kept = order[np.cumsum(sizes) <= SAMPLE_ROWS]
    return shown.filter(pa.array(np.isin(codes, kept)))


def _by_day(values: npt.NDArray[np.float64], when: npt.NDArray[np.int64], bins: Bins, num_days: int) -> Counts:
    return tuple(tuple(bins.count(values[when == day]).tolist()) for day in range(num_days))
