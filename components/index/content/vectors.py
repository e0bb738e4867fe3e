"""Unit vectors of items by their content: text and declared columns; items without an event have them too.

A vector joins two parts, so that the cosine of two items is the weighted mean of the cosines of their parts:

- text: title and description by the encoder of `dataset.toml`;
- columns: category, brand, seller, the owner's columns, and tenths of price and of the owner's numbers. A rare value
  weighs more, as in TF-IDF. A random projection with seeded signs keeps the inner products of any number of values
  (Achlioptas 2003, "Database-friendly random projections").
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.index.content.text import encode_texts, unit
from feature_repo.dataset.config import TextEncoderName
from feature_repo.dataset.tables import PreparedTables, unix_seconds
from feature_repo.features.state import FloatArray, IntArray

TEXTS = ("title", "description")
CATEGORIES = ("category", "brand", "seller_id")
NUMBERS = ("price",)
COLUMN_DIMENSIONS = 128
COLUMN_WEIGHT = 0.5  # of the length of the part of the columns, where text has 1
NUM_TENTHS = 10


def content_vectors(
    tables: PreparedTables, item_ids: npt.NDArray[np.object_], as_of: float, encoder: TextEncoderName
) -> FloatArray:
    """Vectors of length 1, or 0 for an item without content [m, d].

    Args:
        tables: Clean prepared tables.
        item_ids: The row map [m].
        as_of: Unix seconds; the latest row of an item up to then counts, else its first.
        encoder: Reads the texts.

    Raises:
        DatasetError: The package of the text encoder is missing.
    """
    rows, found = _rows_as_of(tables, item_ids, as_of)
    extras = tables.config.extras("items")
    texts = encode_texts(_texts(rows), encoder)
    columns = _columns(rows, (*CATEGORIES, *extras.categorical), (*NUMBERS, *extras.numerical))
    joined = np.zeros((len(item_ids), texts.shape[1] + columns.shape[1]), dtype=np.float32)
    joined[found] = unit(np.column_stack([texts, COLUMN_WEIGHT * columns]))
    return joined


def _rows_as_of(tables: PreparedTables, item_ids: npt.NDArray[np.object_], as_of: float) -> tuple[pa.Table, IntArray]:
    """The rows of the table of items that count, and the item row of each; a row per item that has any."""
    items = tables.items
    ids = items["item_id"].to_numpy(zero_copy_only=False).astype(object)
    since = np.nan_to_num(unix_seconds(items["valid_from"]), nan=-np.inf)
    num = len(ids)
    # The table is in the order of (item_id, valid_from, row), so the last of the rows that count is the latest.
    first = np.flatnonzero(np.append(True, ids[1:] != ids[:-1])) if num else np.zeros(0, dtype=np.int64)
    started = np.where(since <= as_of, np.arange(num), -1)
    latest = np.maximum(np.maximum.reduceat(started, first), first) if num else first
    places = np.searchsorted(item_ids, ids[first])
    known = (places < len(item_ids)) & (item_ids[np.minimum(places, len(item_ids) - 1)] == ids[first])
    return items.take(pa.array(latest[known])), places[known].astype(np.int32)


def _texts(rows: pa.Table) -> list[str]:
    """Title and description of each row, "" without both."""
    columns = [pc.fill_null(rows[name], "").to_pylist() for name in TEXTS]
    return [" ".join(part for part in parts if part) for parts in zip(*columns, strict=True)]


def _columns(rows: pa.Table, categories: tuple[str, ...], numbers: tuple[str, ...]) -> FloatArray:
    """Projected values of the columns, length 1 or 0 [n, `COLUMN_DIMENSIONS`]."""
    projected = np.zeros((rows.num_rows, COLUMN_DIMENSIONS), dtype=np.float32)
    coded = [_codes(rows[name]) for name in categories] + [_tenths(rows[name]) for name in numbers]
    for number, codes in enumerate(coded):
        known = codes >= 0
        counts = np.bincount(codes[known])
        weights = np.log(max(int(known.sum()), 1) / np.maximum(counts, 1)).astype(np.float32)
        signs = np.random.default_rng(number).choice(
            np.array([-1, 1], dtype=np.float32), (len(counts), COLUMN_DIMENSIONS)
        )
        projected[known] += weights[codes[known], None] * signs[codes[known]] / math.sqrt(COLUMN_DIMENSIONS)
    return unit(projected)


def _codes(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Code of each value by sorted order, -1 for null [n]."""
    values = sorted(value for value in pc.unique(column).to_pylist() if value is not None)
    codes = pc.index_in(column, value_set=pa.array(values, column.type))
    return np.asarray(pc.fill_null(codes, -1).to_numpy(), dtype=np.int64)


def _tenths(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Tenth of the values in which each lies, -1 for null [n]."""
    values = np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    known = np.isfinite(values)
    codes = np.full(len(values), -1, dtype=np.int64)
    if known.any():
        edges = np.unique(np.quantile(values[known], np.arange(1, NUM_TENTHS) / NUM_TENTHS))
        codes[known] = np.searchsorted(edges, values[known], side="right")
    return codes
