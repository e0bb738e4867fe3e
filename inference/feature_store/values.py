"""Converts between Feast's values and columns: keys, rows to write, and records that were read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from feast import FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import DoubleList, StringList, Value

from feature_repo.definitions import TIMESTAMP_FIELD
from feature_repo.features.feature_set import HISTORY_ARRAYS, FeatureSet
from inference.feature_store.state_columns import HistoryRecords, Strings, UserRecords, offsets_of, stored_user_numbers

Record = Mapping[str, Value]
VALUE_OF_TYPE: Mapping[str, Callable[[Any], Value]] = {
    "Float32": lambda entry: Value(float_val=entry),
    "Float64": lambda entry: Value(double_val=entry),
    "Bool": lambda entry: Value(bool_val=entry),
    "String": lambda entry: Value(string_val=entry),
    "Array(Float64)": lambda entry: Value(double_list_val=DoubleList(val=entry)),
    "Array(String)": lambda entry: Value(string_list_val=StringList(val=entry)),
}


def entity_key(name: str, entity: str) -> EntityKey:
    """Returns Feast's key of an entity."""
    return EntityKey(join_keys=[name], entity_values=[Value(string_val=entity)])


def numbers_of(records: Sequence[Record | None], name: str) -> npt.NDArray[np.float64]:
    """Returns a feature of all records [n]; NaN if unknown."""
    return np.array([_plain(record, name, np.nan) for record in records], dtype=np.float64)


def texts_of(records: Sequence[Record | None], name: str) -> Strings:
    """Returns a feature of all records as text [n]; "" if unknown."""
    return np.array([_plain(record, name, "") for record in records], dtype=object)


def array_of(record: Record | None, name: str) -> Sequence[Any]:
    """Returns a list feature of a record; empty if unknown."""
    found = _plain(record, name, None)
    return () if found is None else found.val


def user_records(stats: Sequence[Record | None], feature_set: FeatureSet) -> UserRecords:
    """Returns the records of the view `user_stats` [q] as columns."""
    return UserRecords(
        known=np.array([record is not None for record in stats], dtype=np.bool_),
        numbers={name: numbers_of(stats, name) for name in stored_user_numbers(feature_set)},
        texts={name: texts_of(stats, name) for name in feature_set.user_categorical},
    )


def history_records(histories: Sequence[Record | None]) -> HistoryRecords:
    """Returns the records of the view `user_history` [q] as columns."""
    arrays = {name: [array_of(record, name) for record in histories] for name in HISTORY_ARRAYS}
    ids = {name: list(chain.from_iterable(parts)) for name, parts in arrays.items() if HISTORY_ARRAYS[name] == "string"}
    return HistoryRecords(
        history_offsets=offsets_of([len(part) for part in arrays["history_ids"]]),
        own_offsets=offsets_of([len(part) for part in arrays["own_ids"]]),
        ids=ids,
        arrays={name: _flat(parts) for name, parts in arrays.items() if name not in ids},
    )


def write_rows(
    batch: pa.Table, view: FeatureView, key: str
) -> list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]]:
    """Returns the rows of a batch in Feast's form: key, features by name, event time, creation time."""
    names = [field.name for field in view.features]
    columns = [_values(batch[field.name], str(field.dtype)) for field in view.features]
    keys = [entity_key(key, entity) for entity in batch[key].to_pylist()]
    moments = batch[TIMESTAMP_FIELD].to_pylist()
    rows = zip(*columns, strict=True)
    return [
        (entity, dict(zip(names, row, strict=True)), moment, None)
        for entity, row, moment in zip(keys, rows, moments, strict=True)
    ]


def _values(column: pa.ChunkedArray, dtype: str) -> list[Value]:
    """Returns the Feast values of a column, of its declared type; null becomes a value that is not set."""
    make = VALUE_OF_TYPE[dtype]
    return [Value() if entry is None else make(entry) for entry in column.to_pylist()]


def _plain(record: Record | None, name: str, missing: Any) -> Any:
    value = None if record is None else record.get(name)
    kind = None if value is None else value.WhichOneof("val")
    return missing if kind is None else getattr(value, kind)


def _flat(parts: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    return np.fromiter(chain.from_iterable(parts), dtype=np.float64, count=sum(len(part) for part in parts))
