"""SQL expressions that turn a source column into a contract column, one for each way of reading and Arrow type.

The type rules: whole numbers become decimal text, dates become midnight UTC, NaN is missing, flags are 0/1. A type that
the contract does not allow has no expression. Values that cannot be read are found by the check of an expression.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import pyarrow as pa
from pyarrow import types

from components.ingest.reading.encodings import plain_value

LARGEST_EXACT = 2**53  # a float cannot distinguish larger whole numbers
NO_DATE = "a time out of range"
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
    "id": "text or whole numbers (as floats at most 2**53)",
    "text": "text, numbers, true/false or lists of them",
    "text!": "text",
    "regions": "text or lists of text",
    "time": "timestamps or dates; text is not read as time",
    "since": "timestamps or dates; text is not read as time",
    "number": "numbers",
    "propensity": "numbers",
    "flag": "true/false or 0/1",
    "position": "whole numbers below 2**31",
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
    value = plain_value(source, kind)
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
    return replace(expression, bad=value.bad or expression.bad, source=expression.source or source)


def read_folder(value: str, reading: str) -> Expression | None:
    """The expression that reads the value of a hive folder (SQL text); None if a folder cannot be read this way."""
    if reading in ("id", "text", "text!", "regions"):
        return Expression(value)
    if reading in ("time", "since", "number"):
        cast = f"TRY_CAST({value} AS {SQL_TYPES[reading]})"
        finite = f"CASE WHEN isfinite({cast}) THEN {cast} END"  # a folder may be named "inf", "nan" or "infinity"
        return Expression(finite, f"{value} IS NOT NULL AND {cast} IS NULL", value)
    return None


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


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
        count, a_day = f"({source} - DATE '1970-01-01')", 1
        value = f"CAST({source} AS TIMESTAMPTZ)"
    elif types.is_timestamp(kind) and kind.unit == "ns":
        count, a_day = f"epoch_ns({source})", 86_400 * 10**9
        # A cast rounds, which can move an event just before midnight to the next day.
        value = f"make_timestamptz(({count} - (({count} % 1000) + 1000) % 1000) // 1000)"
    elif types.is_timestamp(kind):
        count, a_day = f"epoch_us({source})", 86_400 * 10**6
        value = f"make_timestamptz({count})"
    else:
        return None
    inside, known = _between(count, first, last, a_day), _between(count, *YEARS["time"], a_day)
    return Expression(
        f"CASE WHEN {inside} THEN {value} END",
        # DuckDB fails on the text of a time beyond the range of its calendar.
        source=f"CASE WHEN {known} THEN CAST({source} AS VARCHAR) ELSE '{NO_DATE}' END",
        missing=f"{source} IS NOT NULL AND NOT coalesce({inside}, false)",
        words=f"outside of the years {first} to {last}",
    )


def _between(count: str, first: int, last: int, a_day: int) -> str:
    """SQL condition: a count since 1970, `a_day` in a day, lies in the years `first` to `last`."""
    start, end = ((date(year, 1, 1) - date(1970, 1, 1)).days for year in (first, last))
    end += (date(last, 12, 31) - date(last, 1, 1)).days + 1
    return f"{count} BETWEEN {start * a_day} AND {end * a_day - 1}"


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
