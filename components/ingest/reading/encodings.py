"""Removes the encodings of a source value: dictionaries, views, extension types, bytes that hold text.

Two writers store the same text or number in different Arrow types; the readers of `expressions.py` know one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from pyarrow import types

MOST_DIGITS = 38  # DuckDB reads longer decimals as floats


@dataclass(frozen=True)
class PlainValue:
    """A source value without encodings.

    Attributes:
        sql: The value in SQL.
        kind: Its Arrow type; text is always `string`.
        bad: SQL condition under which bytes are not text; None if that cannot happen.
    """

    sql: str
    kind: pa.DataType
    bad: str | None = None


def plain_value(source: str, kind: pa.DataType) -> PlainValue:
    """A value without dictionary, view, extension or binary encoding: UUID and JSON become text, bytes are UTF-8."""
    if types.is_dictionary(kind):
        return plain_value(source, kind.value_type)
    if isinstance(kind, pa.UuidType):
        return PlainValue(f"CAST({source} AS VARCHAR)", pa.string())
    if isinstance(kind, pa.BaseExtensionType):
        inner = plain_value(source, kind.storage_type)
        is_text = types.is_string(inner.kind) and inner.bad is None
        return PlainValue(f"CAST({inner.sql} AS VARCHAR)", inner.kind) if is_text else inner
    if types.is_large_string(kind) or types.is_string_view(kind):
        return PlainValue(source, pa.string())
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        text = f"TRY(decode({source}))"
        return PlainValue(text, pa.string(), f"{source} IS NOT NULL AND {text} IS NULL")
    if types.is_decimal(kind) and kind.precision > MOST_DIGITS:
        return PlainValue(source, pa.float64())
    return PlainValue(source, kind)
