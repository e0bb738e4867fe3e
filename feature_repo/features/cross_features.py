"""Features of a user and an item together: numpy over columns, the one implementation for training rows and serving.

Owns what the user did with the item, with its category, brand and seller, and how its price compares. Refuses ids,
stores and Python work per candidate; how candidates are laid out says `transforms.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from feature_repo.features.ages import days_between, decayed_count
from feature_repo.features.feature_set import OWN_HALF_LIVES, FeatureSet
from feature_repo.features.state import FloatArray, History, IntArray, ItemColumns, OffsetArray, TimeArray, UserColumns

SMALLEST_PRICE_STD = 0.1  # of log prices; a user who always paid the same has no spread to divide by
SMALLEST_GAP_DAYS = 1.0  # items bought twice in a day are not due every minute

IndexArray = npt.NDArray[np.int64]


def cross_features(
    times: TimeArray,
    users: UserColumns,
    items: ItemColumns,
    query_index: IndexArray,
    rows: IntArray,
    anchors: IndexArray,
    feature_set: FeatureSet,
) -> FloatArray:
    """Features of user and item together, in `cross_numeric` order.

    Args:
        times: Query times, unix seconds [q].
        users: State of the queries' users [q].
        items: The catalogue [m].
        query_index: Query of each candidate [n].
        rows: Item row of each candidate [n].
        anchors: Row of the item each query starts from, -1 for none [q]; see `anchor_rows`.
        feature_set: Names the columns.

    Returns:
        [n, len(cross_numeric)]; NaN is missing.
    """
    wanted = frozenset(feature_set.cross_numeric)
    now = times[query_index]
    columns: dict[str, npt.NDArray[np.float64]] = {}
    if wanted & {"own_count", "own_negatives"}:
        columns |= _own_columns(now, users, query_index, rows, len(items), feature_set)
    if "history_contains" in wanted:
        found, _ = _contacts(users.history, users.history.rows, rows, query_index, len(items))
        columns["history_contains"] = (found > 0).astype(np.float64)
    for place, name in enumerate(feature_set.item_categorical):
        if f"history_share_{name}" in wanted:
            codes = items.categorical[:, place]
            size = feature_set.vocabulary_size(f"items.{name}")
            columns |= _affinity_columns(name, now, users.history, codes, query_index, rows, size)
            columns[f"anchor_same_{name}"] = _anchor_same(codes, anchors, query_index, rows)
    if "price_z_to_user" in wanted:
        columns |= _price_columns(users, items, query_index, rows, anchors, feature_set)
    return stacked(columns, feature_set.cross_numeric, len(rows))


def stacked(columns: Mapping[str, npt.NDArray[np.float64]], names: Sequence[str], length: int) -> FloatArray:
    """Columns by name as a matrix [length, len(names)], in the order of the names."""
    out = np.empty((length, len(names)), dtype=np.float32)
    for place, name in enumerate(names):
        out[:, place] = columns[name]
    return out


def _own_columns(
    now: TimeArray, users: UserColumns, query_index: IndexArray, rows: IntArray, num_items: int, feature_set: FeatureSet
) -> dict[str, npt.NDArray[np.float64]]:
    """What the user did with this very item, over the whole history."""
    own = users.own
    keys = _owners(own.offsets) * num_items + own.rows
    faded = [f"own_decayed_{days}d" for days in OWN_HALF_LIVES]
    if not len(keys):
        nothing = np.full(len(rows), np.nan)
        return dict.fromkeys(feature_set.cross_numeric, nothing) | dict.fromkeys(
            ("own_count", "own_negatives", *faded), np.zeros(len(rows))
        )
    wanted = query_index * num_items + rows
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    hit = keys[at] == wanted
    count = np.where(hit, own.counts[at], 0.0).astype(np.float64)
    last = np.where(hit, days_between(own.last[at], now), np.nan)
    first = np.where(hit, days_between(own.first[at], now), np.nan)
    gap = np.full(len(rows), np.nan)
    np.divide(first - last, count - 1, out=gap, where=count > 1)
    columns = {
        "own_count": count,
        "own_days_since_last": last,
        "own_days_since_first": first,
        "own_mean_gap_days": gap,
        "own_due": last / np.maximum(gap, SMALLEST_GAP_DAYS),
        "own_grade": np.where(hit, own.grades[at], np.nan),
        "own_negatives": np.where(hit, own.negatives[at], 0.0).astype(np.float64),
    }
    seen = hit & (count > 0)
    for name, days in zip(faded, OWN_HALF_LIVES, strict=True):
        decayed = decayed_count(own.counts[at], own.first[at], own.last[at], now, days)
        columns[name] = np.where(seen, decayed, 0.0)
    if "own_share_of_sessions" in feature_set.cross_numeric:
        sessions = users.numeric[:, feature_set.user_numeric.index("num_sessions_total")][query_index]
        columns["own_share_of_sessions"] = np.where(hit, np.minimum(count / np.maximum(sessions, 1.0), 1.0), np.nan)
    return columns


def _affinity_columns(
    name: str, now: TimeArray, history: History, codes: IntArray, query_index: IndexArray, rows: IntArray, size: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Share of the last events that had the item's code of a column, and days since the last that had it."""
    wanted = codes[rows]
    found, last = _contacts(history, codes[history.rows], wanted, query_index, size)
    lengths = np.diff(history.offsets)[query_index]
    share = np.full(len(rows), np.nan)
    np.divide(found, lengths, out=share, where=(lengths > 0) & (wanted > 0))
    since = np.where((found > 0) & (wanted > 0), days_between(last, now), np.nan)
    return {f"history_share_{name}": share, f"days_since_{name}": since}


def _contacts(
    history: History,
    values: npt.NDArray[np.int32],
    wanted: npt.NDArray[np.int32],
    query_index: IndexArray,
    num_values: int,
) -> tuple[npt.NDArray[np.int64], TimeArray]:
    """How many events of the query's user have the wanted value, and the time of the latest of them.

    Args:
        history: Events of q users, oldest first within a user [h].
        values: A value of each event, 0 <= value < num_values [h].
        wanted: A value of each candidate [n].
        query_index: Query of each candidate [n].
        num_values: Bound of the values.

    Returns:
        Counts [n] and times [n], NaN where the count is 0.
    """
    keys = _owners(history.offsets) * num_values + values
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.int64), np.full(len(wanted), np.nan)
    order = np.argsort(keys, kind="stable")  # stable: within a key the latest event stays last
    keys, times = keys[order], history.times[order]
    candidate_keys = query_index * num_values + wanted
    start = np.searchsorted(keys, candidate_keys, side="left")
    stop = np.searchsorted(keys, candidate_keys, side="right")
    counts = stop - start
    return counts, np.where(counts > 0, times[np.maximum(stop - 1, 0)], np.nan)


def _anchor_same(
    codes: IntArray, anchors: IndexArray, query_index: IndexArray, rows: IntArray
) -> npt.NDArray[np.float64]:
    """1 where the item has the code of the item the query starts from, 0 where another, NaN where either is unknown."""
    if not (anchors >= 0).any():
        return np.full(len(rows), np.nan)
    anchor = np.where(anchors >= 0, codes[anchors], 0)[query_index]
    wanted = codes[rows]
    return np.where((anchor > 0) & (wanted > 0), (anchor == wanted).astype(np.float64), np.nan)


def _price_columns(
    users: UserColumns,
    items: ItemColumns,
    query_index: IndexArray,
    rows: IntArray,
    anchors: IndexArray,
    feature_set: FeatureSet,
) -> dict[str, npt.NDArray[np.float64]]:
    """Log price against what the user pays, in the user's standard deviations, and against the query's item."""
    mean = users.numeric[:, feature_set.user_numeric.index("mean_log_price")]
    spread = users.numeric[:, feature_set.user_numeric.index("std_log_price")]
    price = np.log1p(items.price[rows].astype(np.float64))
    anchor = np.where(anchors >= 0, np.log1p(items.price[anchors].astype(np.float64)), np.nan)[query_index]
    z = (price - mean[query_index]) / np.maximum(spread[query_index], SMALLEST_PRICE_STD)
    return {"price_z_to_user": z, "anchor_price_ratio": price - anchor}


def _owners(offsets: OffsetArray) -> IndexArray:
    """Which query each entry of a ragged column belongs to."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
