"""SQL expressions that turn a source column into a contract column, one for each way of reading and Arrow type.

The type rules: whole numbers become decimal text, dates become midnight UTC, NaN is missing, flags are 0/1. A type that
the contract does not allow has no expression. Values that cannot be read are found by the check of an expression.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa
from pyarrow import types

LARGEST_EXACT = 2**53  # a float cannot distinguish larger whole numbers
MOST_DIGITS = 38  # DuckDB reads longer decimals as floats
# Years of a time, first and last. Outside of them a time is missing: Python and RFC 3339 end at the year 9999, and a
# `since` beyond these years stands for an unknown date, such as 9999-12-31.
YEARS = {"time": (1, 9999), "since": (1900, 2199)}

# Way of reading -> SQL type of the prepared column.
SQL_TYPES = {
    "id": "VARCHAR",
    "text": "VARCHAR",
    "text!": "VARCHAR",
    "regions": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "since": "TIMESTAMPTZ",
    "number": "DOUBLE",
    "propensity": "DOUBLE",
    "flag": "BOOLEAN",
    "position": "INTEGER",
    "label": "TINYINT",
}
# Way of reading -> source types that can be read, in words.
EXPECTED = {
    "id": "text or whole numbers",
    "text": "text, numbers, true/false or lists of them",
    "text!": "text",
    "regions": "text or lists of text",
    "time": "timestamps or dates; text is not read as time",
    "since": "timestamps or dates; text is not read as time",
    "number": "numbers",
    "propensity": "numbers",
    "flag": "true/false or 0/1",
    "position": "whole numbers",
    "label": "0/1 or true/false",
}


@dataclass(frozen=True)
class Expression:
    """A value in SQL.

    Attributes:
        sql: The value, of the type in SQL_TYPES.
        bad: SQL condition under which a source value cannot be read; None if every value can be read.
        source: The source value in SQL, shown in errors.
        missing: SQL condition under which a source value is read as missing and reported; None if that cannot happen.
        words: What such a value is, in words.
    """

    sql: str
    bad: str | None = None
    source: str = ""
    missing: str | None = None
    words: str = ""


def read_column(source: str, kind: pa.DataType, reading: str) -> Expression | None:
    """The expression that reads `source` (SQL) of an Arrow type in a way of SQL_TYPES; None if the type is invalid."""
    if types.is_null(kind):
        return Expression(f"CAST(NULL AS {SQL_TYPES[reading]})")
    value = _plain(source, kind)
    expression = {
        "id": _id,
        "text": _text,
        "text!": _strict_text,
        "regions": _regions,
        "time": _time,
        "since": _since,
        "number": _number,
        "propensity": _propensity,
        "flag": _flag,
        "position": _position,
        "label": _label,
    }[reading](value.sql, value.kind)
    if expression is None:
        return None
    return replace(expression, bad=value.bad or expression.bad, source=source)


def read_folder(value: str, reading: str) -> Expression | None:
    """The expression that reads the value of a hive folder (SQL text); None if a folder cannot be read this way."""
    if reading in ("id", "text", "text!", "regions"):
        return Expression(value)
    if reading in ("time", "since", "number"):
        cast = f"TRY_CAST({value} AS {SQL_TYPES[reading]})"
        return Expression(cast, f"{value} IS NOT NULL AND {cast} IS NULL", value)
    return None


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class _Plain:
    """A source value in SQL and its Arrow type, without encodings; `bad` is a condition of values without a text."""

    sql: str
    kind: pa.DataType
    bad: str | None = None


def _plain(source: str, kind: pa.DataType) -> _Plain:
    """A value without dictionary, view, extension or binary encoding: UUID and JSON become text, bytes are UTF-8."""
    if types.is_dictionary(kind):
        return _plain(source, kind.value_type)
    if isinstance(kind, pa.UuidType):
        return _Plain(f"CAST({source} AS VARCHAR)", pa.string())
    if isinstance(kind, pa.BaseExtensionType):
        inner = _plain(source, kind.storage_type)
        is_text = types.is_string(inner.kind) and inner.bad is None
        return _Plain(f"CAST({inner.sql} AS VARCHAR)", inner.kind) if is_text else inner
    if types.is_large_string(kind) or types.is_string_view(kind):
        return _Plain(source, pa.string())
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        text = f"TRY(decode({source}))"
        return _Plain(text, pa.string(), f"{source} IS NOT NULL AND {text} IS NULL")
    if types.is_decimal(kind) and kind.precision > MOST_DIGITS:
        return _Plain(source, pa.float64())
    return _Plain(source, kind)


def _is_fractional(kind: pa.DataType) -> bool:
    return bool(types.is_floating(kind) or types.is_decimal(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        types.is_list(kind)
        or types.is_large_list(kind)
        or types.is_fixed_size_list(kind)
        or types.is_list_view(kind)
        or types.is_large_list_view(kind)
    )


def _finite(source: str) -> str:
    """SQL that turns NaN and infinity into null."""
    value = f"CAST({source} AS DOUBLE)"
    return f"CASE WHEN isfinite({value}) THEN {value} END"


def _whole(source: str) -> str:
    """SQL condition: a finite whole number that a float represents exactly."""
    value = f"CAST({source} AS DOUBLE)"
    return f"({value} = trunc({value}) AND abs({value}) <= {LARGEST_EXACT})"


def _id(source: str, kind: pa.DataType) -> Expression | None:
    if types.is_string(kind):
        return Expression(f"nullif({source}, '')")
    if types.is_integer(kind) or (types.is_decimal(kind) and kind.scale == 0):
        return Expression(f"CAST({source} AS VARCHAR)")
    if _is_fractional(kind):
        finite = f"isfinite(CAST({source} AS DOUBLE))"
        whole = _whole(source)
        return Expression(
            f"CASE WHEN {finite} AND {whole} THEN CAST(TRY_CAST({source} AS HUGEINT) AS VARCHAR) END",
            f"{finite} AND NOT {whole}",
        )
    return None


def _strict_text(source: str, kind: pa.DataType) -> Expression | None:
    return Expression(f"nullif({source}, '')") if types.is_string(kind) else None


def _text(source: str, kind: pa.DataType) -> Expression | None:
    if types.is_boolean(kind):
        return Expression(f"CAST({source} AS VARCHAR)")
    if _is_fractional(kind):
        return Expression(
            f"CASE WHEN NOT isfinite(CAST({source} AS DOUBLE)) THEN NULL "
            f"WHEN {_whole(source)} THEN CAST(TRY_CAST({source} AS HUGEINT) AS VARCHAR) "
            f"ELSE CAST({source} AS VARCHAR) END"
        )
    if _is_list(kind):
        element = read_column("element", kind.value_type, "text")
        return None if element is None or element.bad else Expression(_joined(source, element.sql))
    return _id(source, kind)


def _joined(source: str, element: str) -> str:
    texts = f"list_transform({source}, lambda element: {element})"
    return f"nullif(array_to_string(list_filter({texts}, lambda element: element <> ''), '|'), '')"


def _regions(source: str, kind: pa.DataType) -> Expression | None:
    if _is_list(kind):
        return _text(source, kind)
    if types.is_string(kind):
        return Expression(_joined(f"regexp_split_to_array({source}, '[|;,]')", "trim(element)"))
    return None


def _time(source: str, kind: pa.DataType) -> Expression | None:
    return _moment(source, kind, *YEARS["time"])


def _since(source: str, kind: pa.DataType) -> Expression | None:
    return _moment(source, kind, *YEARS["since"])


def _moment(source: str, kind: pa.DataType, first: int, last: int) -> Expression | None:
    """A time between the years `first` and `last`, both included; other times and infinity are missing."""
    if types.is_date(kind):
        inside = f"{source} BETWEEN DATE '{first:04}-01-01' AND DATE '{last:04}-12-31'"
        value = f"CAST({source} AS TIMESTAMPTZ)"
    elif types.is_timestamp(kind):
        start, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (first, last))
        end += (datetime(last, 12, 31, tzinfo=UTC) - datetime(last, 1, 1, tzinfo=UTC)).days * 86_400 + 86_400
        count, unit = ("epoch_ns", 10**9) if kind.unit == "ns" else ("epoch_us", 10**6)
        inside = f"{count}({source}) BETWEEN {start * unit} AND {end * unit - 1}"
        micros = f"{count}({source})"
        if kind.unit == "ns":  # a cast rounds, which can move an event just before midnight to the next day
            micros = f"({micros} - (({micros} % 1000) + 1000) % 1000) // 1000"
        value = f"make_timestamptz({micros})"
    else:
        return None
    return Expression(
        f"CASE WHEN {inside} THEN {value} END",
        missing=f"{source} IS NOT NULL AND NOT coalesce({inside}, false)",
        words=f"outside of the years {first} to {last}",
    )


def _number(source: str, kind: pa.DataType) -> Expression | None:
    if types.is_integer(kind) or types.is_boolean(kind):
        return Expression(f"CAST({source} AS DOUBLE)")
    return Expression(_finite(source)) if _is_fractional(kind) else None


def _propensity(source: str, kind: pa.DataType) -> Expression | None:
    if not (types.is_integer(kind) or _is_fractional(kind)):
        return None
    value = f"CAST({source} AS DOUBLE)"
    return Expression(f"CASE WHEN {value} > 0 AND {value} <= 1 THEN {value} END")


def _zero_or_one(source: str, kind: pa.DataType, sql_type: str) -> Expression | None:
    if types.is_boolean(kind):
        return Expression(f"CAST({source} AS {sql_type})")
    if types.is_integer(kind) or _is_fractional(kind):
        value = f"CAST({source} AS DOUBLE)"
        return Expression(
            f"CASE WHEN {value} IN (0, 1) THEN CAST({value} = 1 AS {sql_type}) END",
            f"isfinite({value}) AND {value} NOT IN (0, 1)",
        )
    return None


def _flag(source: str, kind: pa.DataType) -> Expression | None:
    return _zero_or_one(source, kind, "BOOLEAN")


def _label(source: str, kind: pa.DataType) -> Expression | None:
    return _zero_or_one(source, kind, "TINYINT")


def _position(source: str, kind: pa.DataType) -> Expression | None:
    if not (types.is_integer(kind) or _is_fractional(kind)):
        return None
    if types.is_signed_integer(kind) and kind.bit_width <= 32:  # every value fits: no scan needed
        return Expression(f"CASE WHEN {source} >= 0 THEN CAST({source} AS INTEGER) END")
    value = f"CAST({source} AS DOUBLE)"
    usable = f"({value} = trunc({value}) AND {value} < 2147483648)"
    return Expression(
        f"CASE WHEN {value} >= 0 AND {usable} THEN TRY_CAST({value} AS INTEGER) END",
        f"isfinite({value}) AND NOT {usable}",
    )
