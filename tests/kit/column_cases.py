"""Columns as other systems write them: types and sentinel values, each with its expected outcome."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

START = datetime(2024, 3, 1, tzinfo=UTC)
NUM_EVENTS, NUM_ITEMS = 24, 6
MICROSECONDS = pa.timestamp("us", tz="UTC")
LARGEST = 2**63 - 1
FAR = datetime(9999, 12, 31, tzinfo=UTC)


def times() -> list[datetime]:
    """Midnights, so that a date holds them."""
    return [START + timedelta(days=number) for number in range(NUM_EVENTS)]


def interactions() -> pa.Table:
    """One event a day by 4 users on 6 items."""
    index = range(NUM_EVENTS)
    return pa.table(
        {
            "user_id": [f"u{i % 4}" for i in index],
            "item_id": [f"i{i % NUM_ITEMS}" for i in index],
            "event_type": ["purchase" if i % 5 == 0 else "view" for i in index],
            "timestamp": pa.array(times(), MICROSECONDS),
        }
    )


def items() -> pa.Table:
    """The 6 items."""
    return pa.table({"item_id": [f"i{i}" for i in range(NUM_ITEMS)], "title": [f"Item {i}" for i in range(NUM_ITEMS)]})


@dataclass(frozen=True)
class ColumnCase:
    """A change of one table, and what ingest and row rules make of it.

    Attributes:
        name: Type and sentinel.
        table: interactions or items.
        change: Makes the table from the ordinary one.
        expected: Prepared column -> its values in the order of the source.
        bad: Rows that the row rules quarantine.
        refused: Words of the error sentence; () if the table is read.
        said: Words of a line that ingest prints.
        config: Added to dataset.toml.
        int96: Whether times are written as INT96.
    """

    name: str
    table: str
    change: Callable[[pa.Table], pa.Table]
    expected: dict[str, list[Any]] = field(default_factory=dict)
    bad: int = 0
    refused: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    config: str = ""
    int96: bool = False


def _with(column: str, values: pa.Array) -> Callable[[pa.Table], pa.Table]:
    """A change that sets a column, cut or padded with nulls to the number of rows."""

    def change(table: pa.Table) -> pa.Table:
        array = values.slice(0, table.num_rows)
        if len(array) < table.num_rows:
            array = pa.concat_arrays([array, pa.nulls(table.num_rows - len(array), array.type)])
        place = table.schema.get_field_index(column)
        return table.append_column(column, array) if place < 0 else table.set_column(place, column, array)

    return change


def _read(name: str, table: str, column: str, values: pa.Array, expected: list[Any], **more: Any) -> ColumnCase:
    padded = expected + [None] * ({"interactions": NUM_EVENTS, "items": NUM_ITEMS}[table] - len(expected))
    return ColumnCase(f"{column} {name}", table, _with(column, values), {column: padded}, **more)


def _refused(name: str, table: str, column: str, values: pa.Array, *words: str, config: str = "") -> ColumnCase:
    return ColumnCase(f"{column} {name}", table, _with(column, values), refused=(f"'{column}'", *words), config=config)


def _ids() -> list[ColumnCase]:
    numbers = list(range(100, 100 + NUM_EVENTS))
    texts = [str(number) for number in numbers]
    uuids = [UUID(int=number) for number in numbers]
    lists = pa.array([[text] for text in texts])
    read = {
        "int32": pa.array(numbers, pa.int32()),
        "uint64": pa.array(numbers, pa.uint64()),
        "decimal": pa.array([Decimal(number) for number in numbers], pa.decimal128(20, 0)),
        "float": pa.array([float(number) for number in numbers]),
        "half": pa.array(np.array(numbers, np.float16)),
        "long decimal": pa.array([Decimal(number) for number in numbers], pa.decimal256(60, 0)),
        "dictionary": pa.array(texts).dictionary_encode(),
        "dictionary of numbers": pa.array(numbers).dictionary_encode(),
        "large_string": pa.array(texts, pa.large_string()),
        "string_view": pa.array(texts, pa.string_view()),
        "binary": pa.array([text.encode() for text in texts], pa.binary()),
        "large_binary": pa.array([text.encode() for text in texts], pa.large_binary()),
        "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(texts)),
    }
    refused = {
        "struct": (pa.array([{"id": text} for text in texts]), "struct"),
        "list": (lists, "list"),
        "bool": (pa.array([True] * NUM_EVENTS), "bool"),
        "bytes": (pa.array([uuid.bytes for uuid in uuids], pa.binary(16)), "fixed_size_binary[16]"),
        "fraction": (pa.array([*map(float, numbers[:7]), 7.5]), "7.5 in row 7"),
        "decimal fraction": (pa.array([Decimal("1.50")]), "1.50 in row 0"),
        "not UTF-8": (pa.array([b"u1", b"\xff"]), "in row 1"),
        "longer than a float": (pa.array([Decimal(10**50)], pa.decimal256(60, 0)), "in row 0"),
        "time": (pa.array(times(), MICROSECONDS), "timestamp"),
    }
    stored = pa.array([uuid.bytes for uuid in uuids], pa.uuid())
    return [
        *(_read(name, "interactions", "user_id", values, texts) for name, values in read.items()),
        _read("uuid", "interactions", "user_id", stored, [str(uuid) for uuid in uuids]),
        *(_refused(name, "interactions", "user_id", values, words) for name, (values, words) in refused.items()),
    ]


def _times() -> list[ColumnCase]:
    moments = times()
    naive = [moment.replace(tzinfo=None) for moment in moments]
    read = {
        **{f"{unit} without zone": pa.array(naive, pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
        **{f"{unit} in Tokyo": pa.array(moments, pa.timestamp(unit, "Asia/Tokyo")) for unit in ("s", "ms", "us", "ns")},
        "date32": pa.array([moment.date() for moment in moments], pa.date32()),
        "date64": pa.array([moment.date() for moment in moments], pa.date64()),
        "dictionary": pa.array(moments, MICROSECONDS).dictionary_encode(),
    }
    usual = [int(moment.timestamp()) * 10**6 for moment in moments]
    days = [(moment - datetime(1970, 1, 1, tzinfo=UTC)).days for moment in moments]
    odd = {
        "9999": (pa.array([*moments[:-1], FAR], MICROSECONDS), FAR),
        "largest": (pa.array([*usual[:-1], LARGEST]).view(MICROSECONDS), None),
        "smallest": (pa.array([*usual[:-1], -LARGEST - 1]).view(pa.timestamp("us")), None),
        "largest ns": (pa.array([1000 * micros for micros in usual[:-1]] + [LARGEST]).view(pa.timestamp("ns")), None),
        "largest day": (pa.array([*days[:-1], 2**31 - 1], pa.int32()).view(pa.date32()), None),
    }
    refused = {
        "text": pa.array([moment.isoformat() for moment in moments]),
        "number": pa.array(usual),
        "time of day": pa.array([time(12)] * NUM_EVENTS),
    }
    return [
        *(_read(name, "interactions", "timestamp", values, moments) for name, values in read.items()),
        _read("INT96", "interactions", "timestamp", read["us without zone"], moments, int96=True),
        *(
            _read(name, "interactions", "timestamp", values, [*moments[:-1], value], bad=1)
            for name, (values, value) in odd.items()
        ),
        _read("INT96 9999", "interactions", "timestamp", odd["9999"][0], [*moments[:-1], FAR], bad=1, int96=True),
        *(_refused(name, "interactions", "timestamp", values) for name, values in refused.items()),
    ]


def _since() -> list[ColumnCase]:
    """Sentinels of `created_at` are missing, and a line names column and row."""
    known = datetime(2024, 1, 2, tzinfo=UTC)
    said = ("'created_at'", "in row 1 (counted from 0)", "1900 to 2199")
    sentinels = {
        "9999": pa.array([known, FAR], MICROSECONDS),
        "year 1": pa.array([known, datetime(1, 1, 1, tzinfo=UTC)], MICROSECONDS),
        "day in 9999": pa.array([known.date(), date(9999, 12, 31)], pa.date32()),
        "infinity": pa.array([int(known.timestamp()) * 10**6, LARGEST]).view(pa.timestamp("us")),
        "ns at the end": pa.array([int(known.timestamp()) * 10**9, LARGEST - 1]).view(pa.timestamp("ns")),
    }
    cases = [_read(name, "items", "created_at", values, [known], said=said) for name, values in sentinels.items()]
    int96 = _read("INT96 9999", "items", "created_at", sentinels["9999"], [known], said=said, int96=True)
    return [*cases, int96]


def _values() -> list[ColumnCase]:
    tags = '[features.items]\ncategorical = ["tags"]\n'
    lists = [["a", "b"], None, [], ["c"]]
    texts = ["a|b", None, None, "c"]
    kinds = {
        "list of dictionaries": pa.list_(pa.dictionary(pa.int32(), pa.string())),
        "large list of dictionaries": pa.large_list(pa.dictionary(pa.uint32(), pa.string())),
        "list view": pa.list_view(pa.string()),
        "large list view": pa.large_list_view(pa.string()),
        "list of string views": pa.list_(pa.string_view()),
        "large list": pa.large_list(pa.large_string()),
    }
    pairs = pa.array([["a", "b"], None], pa.list_(pa.string(), 2))
    nothing = pa.array([[], None, []], pa.list_(pa.null()))
    nested = pa.array([{"a": 1}, None])
    numbers: dict[str, tuple[pa.Array, list[Any]]] = {
        "half": (pa.array(np.array([1.5, math.nan, math.inf], np.float16)), [1.5]),
        "decimal": (pa.array([Decimal("2.50"), None, Decimal("0.25")]), [2.5, None, 0.25]),
        "long decimal": (pa.array([Decimal("2.50")], pa.decimal256(60, 2)), [2.5]),
        "null": (pa.nulls(3), []),
    }
    return [
        *(_read(name, "items", "tags", pa.array(lists, kind), texts, config=tags) for name, kind in kinds.items()),
        _read("pairs", "items", "tags", pairs, ["a|b"], config=tags),
        _read("empty lists", "items", "tags", nothing, [], config=tags),
        _read("list", "items", "regions", pa.array(lists, pa.list_view(pa.string())), texts),
        _read("uuid", "items", "seller_id", pa.array([UUID(int=7).bytes], pa.uuid()), [str(UUID(int=7))]),
        _refused("struct", "items", "tags", nested, "struct", config=tags),
        _refused("list of structs", "items", "tags", pa.array([[{"a": 1}]]), "struct", config=tags),
        *(_read(name, "interactions", "price", values, found) for name, (values, found) in numbers.items()),
        _read("text", "interactions", "price", pa.nulls(3, pa.string()), [], refused=("'price'", "numbers")),
    ]


def _unread() -> list[ColumnCase]:
    """Columns that nothing reads may hold anything, and row counters do not hide duplicates."""
    ignored = {
        "struct": pa.array([{"a": 1}]),
        "list of structs": pa.array([[{"a": 1}]]),
        "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int32())),
        "null": pa.nulls(1),
        "duration": pa.array([timedelta(seconds=1)]),
        "bytes": pa.array([b"\xff"]),
        "largest time": pa.array([LARGEST, -LARGEST - 1]).view(pa.timestamp("us")),
    }
    names = {"empty": "", "quoted": 'a "b"', "line": "a\nb", "zero": "a\0b", "space": " ", "letters": "größe"}

    def doubled(name: str) -> Callable[[pa.Table], pa.Table]:
        """Two equal rows, but for a counter."""
        return lambda table: pa.concat_tables([table.slice(0, 1), table.slice(0, table.num_rows - 1)]).append_column(
            name, pa.array(range(table.num_rows))
        )

    def marked(table: pa.Table) -> pa.Table:
        return table.rename_columns(["\ufeffuser_id", *table.column_names[1:]])

    return [
        *(ColumnCase(f"unread {name}", "interactions", _with("extra", values)) for name, values in ignored.items()),
        *(
            ColumnCase(f"name {kind}", "interactions", _with(name, pa.array(range(NUM_EVENTS))))
            for kind, name in names.items()
        ),
        *(
            ColumnCase(f"counter {name!r}", "interactions", doubled(name), bad=1)
            for name in ("", "__index_level_0__", "Unnamed: 0")
        ),
        ColumnCase("another column", "interactions", doubled("line"), bad=0),
        ColumnCase("two of a name", "items", _with("Title", pa.array(["x"])), refused=("'title' and 'Title'",)),
        ColumnCase("reserved", "items", _with("Filename", pa.array(["x"])), refused=("'Filename'", "reserved")),
        ColumnCase("similar", "items", _with("Brand", pa.array(["x"])), said=("'Brand'", "brand")),
        ColumnCase("mark", "interactions", marked, refused=("no column 'user_id'", "\\ufeffuser_id")),
    ]


COLUMN_CASES = (*_ids(), *_times(), *_since(), *_values(), *_unread())
