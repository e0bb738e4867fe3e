"""Converts stored values to the columns that the recommender reads.

The only conversion of stored values to `UserColumns` and `ItemColumns`: codes, ages, integer rows. The online and the
historical store both use it, so that they cannot differ. The module is independent of any store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from feature_repo.features.ages import days_between
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import History, IntArray, ItemColumns, OffsetArray, OwnItems, TimeArray, UserColumns

Strings = npt.NDArray[np.object_]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class UserRecords:
    """Stored numbers and texts of q users.

    Attributes:
        known: Whether the store knows each user [q].
        numbers: Stored numeric columns and moments [q]; NaN means missing.
        texts: Stored text columns [q]; None or "" means missing.
    """

    known: npt.NDArray[np.bool_]
    numbers: Mapping[str, Numbers]
    texts: Mapping[str, Strings]


@dataclass(frozen=True, slots=True)
class HistoryRecords:
    """Stored histories and own items of q users.

    Attributes:
        history_offsets, own_offsets: Offsets of each user's lists [q + 1].
        ids: `history_ids` and `own_ids`, flattened.
        arrays: The other arrays of `HISTORY_ARRAYS`, flattened.
    """

    history_offsets: OffsetArray
    own_offsets: OffsetArray
    ids: Mapping[str, Sequence[str]]
    arrays: Mapping[str, Numbers]


@dataclass(frozen=True, slots=True)
class ItemRecords:
    """Stored values of all m items in the order of the row map; NaN and None mean missing."""

    numbers: Mapping[str, Numbers]
    texts: Mapping[str, Strings]


class RowMap:
    """Maps item ids to rows.

    Attributes:
        item_ids: Sorted ids [m]; row i is item i.
    """

    def __init__(self, item_ids: Strings) -> None:
        self.item_ids = item_ids
        self._row_of = {item_id: row for row, item_id in enumerate(item_ids)}

    def rows(self, item_ids: Sequence[str]) -> IntArray:
        """Returns the rows of ids [n], -1 for unknown ids."""
        row_of = self._row_of
        return np.fromiter((row_of.get(item_id, -1) for item_id in item_ids), dtype=np.int32, count=len(item_ids))


def stored_user_numbers(feature_set: FeatureSet) -> tuple[str, ...]:
    """Returns the stored numeric columns of a user: moments in place of ages."""
    return tuple(feature_set.user_ages.get(name, name) for name in feature_set.user_numeric)


def stored_item_numbers(feature_set: FeatureSet) -> tuple[str, ...]:
    """Numeric columns of an item as they are stored, and the facts filters need."""
    names = (feature_set.item_ages.get(name, name) for name in feature_set.item_numeric)
    return tuple(dict.fromkeys((*names, "price", "in_stock", "created_at", "min_age")))


def stored_item_texts(feature_set: FeatureSet) -> tuple[str, ...]:
    """Returns the stored text columns of an item."""
    return tuple(dict.fromkeys((*feature_set.item_categorical, "regions")))


def user_columns(
    records: UserRecords, state: tuple[History, OwnItems], times: TimeArray, feature_set: FeatureSet
) -> UserColumns:
    """Returns the state of users as of their queries' times; a user with own items is known.

    Args:
        records: Stored numbers and texts of q users.
        state: Histories and own items of the same users.
        times: Unix seconds [q] at which ages end.
        feature_set: Names the columns.
    """
    history, own = state
    numeric = np.empty((len(times), len(feature_set.user_numeric)), dtype=np.float32)
    for place, name in enumerate(feature_set.user_numeric):
        moment = feature_set.user_ages.get(name)
        numeric[:, place] = days_between(records.numbers[moment], times) if moment else records.numbers[name]
    countries = records.texts.get("country")
    return UserColumns(
        known=records.known | (np.diff(own.offsets) > 0),
        numeric=numeric,
        categorical=_codes(records.texts, "users", feature_set.user_categorical, feature_set, len(times)),
        country=np.full(len(times), "", dtype=object) if countries is None else _filled(countries),
        history=history,
        own=own,
    )


def stored_state(records: HistoryRecords, row_map: RowMap) -> tuple[History, OwnItems]:
    """Returns stored histories and own items in rows; ids that the row map lacks are left out."""
    return _history(records, row_map), _own_items(records, row_map)


def item_columns(records: ItemRecords, time: float, feature_set: FeatureSet, row_map: RowMap) -> ItemColumns:
    """Returns the catalogue as of a time.

    Args:
        records: Stored values of the m items of the row map.
        time: Unix seconds at which ages end; `transforms.assemble` extends them to each query's time.
        feature_set: Names the columns.
        row_map: The row map.
    """
    num_items = len(row_map.item_ids)
    numbers = records.numbers
    numeric = np.empty((num_items, len(feature_set.item_numeric)), dtype=np.float32)
    for place, name in enumerate(feature_set.item_numeric):
        moment = feature_set.item_ages.get(name)
        age = None if moment is None else np.maximum(days_between(numbers[moment], np.full(num_items, time)), 0.0)
        numeric[:, place] = numbers[name] if age is None else age
    return ItemColumns(
        item_ids=row_map.item_ids,
        numeric=numeric,
        categorical=_codes(records.texts, "items", feature_set.item_categorical, feature_set, num_items),
        price=numbers["price"].astype(np.float32),
        available=numbers["in_stock"] != 0.0,  # a missing value means in stock
        created_at=numbers["created_at"],
        regions=_filled(records.texts["regions"]),
        min_age=np.nan_to_num(numbers["min_age"], nan=0.0).astype(np.float32),
    )


def offsets_of(lengths: Iterable[int] | npt.NDArray[Any]) -> OffsetArray:
    """Returns the offsets [q + 1] of q lengths."""
    return np.concatenate(([0], np.cumsum(np.asarray(lengths, dtype=np.int64)))).astype(np.int64)


def _codes(
    texts: Mapping[str, Strings], side: str, names: Sequence[str], feature_set: FeatureSet, length: int
) -> IntArray:
    codes = np.empty((length, len(names)), dtype=np.int32)
    for place, name in enumerate(names):
        code_of = feature_set.code_of[f"{side}.{name}"]
        codes[:, place] = [code_of.get(text, 0) for text in texts[name]]
    return codes


def _filled(texts: Strings) -> Strings:
    return np.array([text or "" for text in texts], dtype=object)


def _history(records: HistoryRecords, row_map: RowMap) -> History:
    rows = row_map.rows(records.ids["history_ids"])
    known = rows >= 0
    return History(
        offsets=_kept_offsets(records.history_offsets, known),
        rows=rows[known],
        grades=records.arrays["history_grades"][known].astype(np.int8),
        times=records.arrays["history_times"][known],
    )


def _own_items(records: HistoryRecords, row_map: RowMap) -> OwnItems:
    rows = row_map.rows(records.ids["own_ids"])  # stored in the order of ids, so ascending
    known = rows >= 0
    arrays = records.arrays
    return OwnItems(
        offsets=_kept_offsets(records.own_offsets, known),
        rows=rows[known],
        counts=arrays["own_counts"][known].astype(np.float32),
        negatives=arrays["own_negatives"][known].astype(np.float32),
        grades=arrays["own_grades"][known].astype(np.int8),
        first=arrays["own_first"][known],
        last=arrays["own_last"][known],
    )


def _kept_offsets(offsets: OffsetArray, kept: npt.NDArray[np.bool_]) -> OffsetArray:
    return offsets_of(kept)[offsets]
