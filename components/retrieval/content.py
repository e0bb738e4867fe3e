"""Content of items and users that the towers read in addition to ids: codes, words and numbers as of a given time.

Items and users are read as of the time up to which the towers are fitted. Counts and ages of items are computed as of
any cut, from the events before the cut.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from components.retrieval.log import before, codes_of
from feature_repo.dataset.split import DAY
from feature_repo.dataset.tables import PreparedTables, unix_seconds
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import FloatArray, IntArray, TimeArray

WINDOW_DAYS = (1.0, 7.0, 30.0)
NUM_WORDS = 1 << 14  # hash buckets
MAXIMUM_WORDS = 24  # maximum number of words per item
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class ItemContent:
    """Content of m items, and the events from which their counts are computed.

    Attributes:
        categorical: Codes in `FeatureSet.item_categorical` order [m, columns].
        static: Time-independent numbers: log price, rating, log number of ratings, declared extras [m, columns].
        words: Hashed words of title and description [m, w], 0 is padding; w is 1 if no item has text.
        born: Unix seconds: created_at, else the first event or impression, else NaN [m].
        event_times: Times of positive events, ascending [n].
        event_rows: Item rows of these events [n].
    """

    categorical: IntArray
    static: FloatArray
    words: IntArray
    born: TimeArray
    event_times: TimeArray
    event_rows: IntArray

    def __len__(self) -> int:
        return len(self.born)

    @property
    def has_text(self) -> bool:
        """Whether any item has words."""
        return bool(self.words.any())

    def numeric(self, time: float) -> FloatArray:
        """Numbers of all items as of `time` [m, len(WINDOW_DAYS) + 1 + static].

        The first columns are the log of an item's smoothed count of positive events in each window before `time`,
        relative to the mean of all items: a log that grows or dies out moves all counts, which says nothing about an
        item. Then follow the age in log days (0 for an item not seen before `time`) and the static numbers.
        """
        stop = np.searchsorted(self.event_times, time)
        columns = []
        for days in WINDOW_DAYS:
            start = np.searchsorted(self.event_times, time - days * DAY)
            counts = np.bincount(self.event_rows[start:stop], minlength=len(self))
            logs = np.log(counts + 0.5)
            columns.append(logs - logs.mean())
        age = np.log1p(np.maximum(np.nan_to_num((time - self.born) / DAY), 0.0))
        return np.column_stack([*columns, age, self.static]).astype(np.float32)

    def alive(self, time: float) -> IntArray:
        """Rows of the items that exist at `time`; all rows if no item exists."""
        rows = np.flatnonzero(self.born <= time).astype(np.int32)
        return rows if len(rows) else np.arange(len(self), dtype=np.int32)


def read_items(
    tables: PreparedTables, feature_set: FeatureSet, item_ids: npt.NDArray[np.object_], until: float
) -> ItemContent:
    """Content of the row map's items as of `until`, and the events before `until`."""
    table, rows = _latest(tables, "items", "item_id", item_ids, until)
    at = _places(rows, len(item_ids))
    names = feature_set.item_categorical
    categorical = [codes_of(table[name], feature_set.vocabularies[f"items.{name}"]) for name in names]
    static = [_squeeze(_floats(table, "price")), _floats(table, "rating"), _squeeze(_floats(table, "num_ratings"))]
    static += [_squeeze(_floats(table, name)) for name in feature_set.item_extras]
    texts = [
        f"{title or ''} {text or ''}"
        for title, text in zip(table["title"].to_pylist(), table["description"].to_pylist(), strict=True)
    ]
    times, events = _events(tables, "interactions", item_ids, until, positive=True)
    return ItemContent(
        categorical=_aligned(categorical, at, 0, np.int32),
        static=_aligned(static, at, np.nan, np.float32),
        words=_aligned(list(hashed_words(texts).T), at, 0, np.int32),
        born=_born(
            tables, item_ids, until, _aligned([unix_seconds(table["created_at"])], at, np.nan, np.float64)[:, 0]
        ),
        event_times=times,
        event_rows=events,
    )


@dataclass(frozen=True, slots=True)
class UserProfiles:
    """Profiles of u users as of a time.

    Attributes:
        categorical: Codes in `FeatureSet.user_categorical` order [u, columns].
        numeric: `FeatureSet.user_extras` [u, columns], NaN is missing.
        country: Code of the user's country among the request's countries [u], 0 is unknown.
    """

    categorical: IntArray
    numeric: FloatArray
    country: IntArray


def read_users(
    tables: PreparedTables, feature_set: FeatureSet, user_ids: npt.NDArray[np.object_], until: float
) -> UserProfiles:
    """Profiles of the given users as of `until`."""
    table, rows = _latest(tables, "users", "user_id", user_ids, until)
    at = _places(rows, len(user_ids))
    names = feature_set.user_categorical
    categorical = [codes_of(table[name], feature_set.vocabularies[f"users.{name}"]) for name in names]
    country = codes_of(table["country"], feature_set.vocabularies.get("request.country", ()))
    return UserProfiles(
        categorical=_aligned(categorical, at, 0, np.int32),
        numeric=_aligned([_floats(table, name) for name in feature_set.user_extras], at, np.nan, np.float32),
        country=_aligned([country], at, 0, np.int32)[:, 0],
    )


def hashed_words(texts: list[str]) -> IntArray:
    """Hash buckets (1..NUM_WORDS - 1) of the first distinct words of each text [n, w]; 0 is padding, w at least 1."""
    bags = [list(dict.fromkeys(_WORD.findall(text.lower())))[:MAXIMUM_WORDS] for text in texts]
    out = np.zeros((len(texts), max(map(len, bags), default=1) or 1), dtype=np.int32)
    for index, bag in enumerate(bags):
        out[index, : len(bag)] = [zlib.crc32(word.encode()) % (NUM_WORDS - 1) + 1 for word in bag]
    return out


def _latest(
    tables: PreparedTables, table: str, id_column: str, ids: npt.NDArray[np.object_], until: float
) -> tuple[pa.Table, IntArray]:
    """The latest row of each id that is valid at `until`, and the index of its id in `ids`."""
    content = tables.read(table)
    valid_from = unix_seconds(content["valid_from"])
    places = codes_of(content[id_column], ids) - 1
    usable = np.flatnonzero((np.isnan(valid_from) | (valid_from <= until)) & (places >= 0))
    _, last = np.unique(places[usable][::-1], return_index=True)  # rows of an id are sorted by valid_from
    chosen = np.sort(usable[len(usable) - 1 - last])
    return content.take(pa.array(chosen)), places[chosen]


def _events(
    tables: PreparedTables, table: str, item_ids: npt.NDArray[np.object_], until: float, *, positive: bool
) -> tuple[TimeArray, IntArray]:
    """Times (ascending) and item rows of the interactions or impressions before `until`."""
    content = tables.read(table, ["item_id", "timestamp", "grade"])
    times = unix_seconds(content["timestamp"])
    used = before(times, until, tables.split)
    if positive:
        used &= pc.fill_null(pc.greater(content["grade"], 0), False).to_numpy()
    rows = codes_of(content["item_id"], item_ids) - 1
    return times[used], rows[used]


def _born(tables: PreparedTables, item_ids: npt.NDArray[np.object_], until: float, created: TimeArray) -> TimeArray:
    """`created` [m]; unknown times are replaced by the first event or impression before `until`."""
    first = np.full(len(item_ids), np.inf)
    for table in ("interactions", "impressions"):
        times, rows = _events(tables, table, item_ids, until, positive=False)
        np.minimum.at(first, rows, times)
    return np.where(np.isnan(created), np.where(np.isinf(first), np.nan, first), created)


def _floats(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = pc.cast(table[name], pa.float64()).to_numpy()
    return values


def _squeeze(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """sign(x) log(1 + |x|), because declared numbers may have heavy tails."""
    return np.sign(values) * np.log1p(np.abs(values))


def _places(rows: IntArray, length: int) -> npt.NDArray[np.int64]:
    """Position of each number 0..length - 1 in `rows`; -1 if absent."""
    at = np.full(length, -1, dtype=np.int64)
    at[rows] = np.arange(len(rows))
    return at


def _aligned(columns: Sequence[npt.NDArray[Any]], at: npt.NDArray[np.int64], missing: float, dtype: Any) -> Any:
    """The entries `at` of each column, stacked [len(at), columns]; `missing` where `at` is -1."""
    out = np.full((len(at), len(columns)), missing, dtype=dtype)
    known = at >= 0
    for place, column in enumerate(columns):
        out[known, place] = column[at[known]]
    return out
