"""Defines which columns are watched for drift, and in which units their values are counted.

Watched columns are all ranker features, the predictions and the labels of the log. The release step and the drift job
count with the same functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.dataset.split import DAY
from feature_repo.dataset.tables import label_column, unix_seconds
from feature_repo.features.feature_set import WINDOWS, FeatureSet
from inference.log.impressions import FEATURE_PREFIX, PROBABILITY_PREFIX

FEATURE_HASH = "feature_hash"  # column of the log that has the prefix of features
SELLER_PREFIX, SELLER = "item_seller_", "item_seller_id"

Side = Literal["item", "user", "request"]
Kind = Literal["item", "exposure", "cross", "source", "user", "request", "calendar", "prediction", "label"]

SIDES: tuple[Side, ...] = ("item", "user", "request")
# Columns that change without drift: the clock, and the exposure, which the recommender itself decides.
MOVING: Mapping[str, Kind] = {
    **dict.fromkeys((f"request_{name}" for name in ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos")), "calendar"),
    **dict.fromkeys((f"{side}_num_impressions_{days}d" for side in ("item", "user") for days in WINDOWS), "exposure"),
}
USER_EXPOSURE = frozenset(f"user_num_impressions_{days}d" for days in WINDOWS)
Counted = Literal["requests", "items", "sellers", "rows"]


@dataclass(frozen=True, slots=True)
class Watched:
    """A watched column.

    Attributes:
        name: Ranker feature, `score`, `p_<objective>` or `label_<objective>`.
        column: Name of the column in the impression log.
        kind: What the column describes.
        names: Code -> name for a categorical column, None for quantities.
    """

    name: str
    column: str
    kind: Kind
    names: Mapping[float, str] | None = None

    @property
    def counted(self) -> Counted:
        """The unit in which the column is counted, so that a value that many rows share counts once.

        Columns of the user, the request and the calendar are equal within a slate and count once per request. Columns
        of an item count once per item and day, regardless of the number of impressions. Columns of a seller count once
        per seller and day.
        """
        if self.kind in ("user", "request", "calendar") or self.name in USER_EXPOSURE:
            return "requests"
        if self.kind in ("item", "exposure"):
            return "sellers" if self.names is None and self.name.startswith(SELLER_PREFIX) else "items"
        return "rows"

    def values(self, table: pa.Table) -> npt.NDArray[np.float64]:
        """Values of rows of the log [n]; NaN is missing, as is code 0 of a categorical feature."""
        given = np.asarray(pc.cast(table[self.column], pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        if self.names is not None and self.column.startswith(FEATURE_PREFIX):
            return np.where(given == 0, np.nan, given)
        return given


def watched(feature_set: FeatureSet) -> tuple[Watched, ...]:
    """All watched columns of a feature set: the ranker's features in order, predictions, labels."""
    kinds: dict[str, Kind] = {}
    for side in SIDES:
        for name in (*getattr(feature_set, f"{side}_numeric"), *getattr(feature_set, f"{side}_categorical")):
            kinds[f"{side}_{name}"] = MOVING.get(f"{side}_{name}", side)
    kinds |= dict.fromkeys(feature_set.cross_numeric, "cross")
    kinds |= dict.fromkeys([f"{part}_{name}" for part in ("score", "rank") for name in feature_set.sources], "source")
    words = {
        f"{side}_{name}": feature_set.vocabularies[f"{table}.{name}"]
        for side, table in (("item", "items"), ("user", "users"), ("request", "request"))
        for name in getattr(feature_set, f"{side}_categorical")
    }
    features = [
        Watched(name, FEATURE_PREFIX + name, kinds[name], _codes(words[name]) if name in words else None)
        for name in feature_set.ranker_features
    ]
    predictions = ["score", *(PROBABILITY_PREFIX + name for name in feature_set.objectives)]
    labels = [label_column(name) for name in feature_set.objectives]
    return (
        *features,
        *(Watched(name, name, "prediction") for name in predictions),
        *(Watched(name, name, "label", {0.0: "no", 1.0: "yes"}) for name in labels),
    )


def counted_tables(table: pa.Table, requests_a_day: int | None = None) -> dict[Counted, pa.Table]:
    """The rows of ranked slates that represent each kind of unit, see `Watched.counted`.

    Each item is represented by its last row of the day, and each seller by the last row of its items. Sellers without a
    code are distinguished by their features.

    Args:
        table: Ranked rows with the columns of the impression log.
        requests_a_day: Items and sellers come from an even sample of this many requests per day; None for all
            requests. With more requests the shown items reach further into the tail.
    """
    drawn = table if requests_a_day is None else _requests_of_days(table, requests_a_day)
    times, codes = unix_seconds(drawn["timestamp"]), _codes_of(drawn["item_id"])
    newest = np.lexsort((codes, times))[::-1]
    items = drawn.take(pa.array(newest[_first_of(codes[newest], times[newest] // DAY)]))
    return {
        "rows": table,
        "requests": table.take(pa.array(_first_of(_codes_of(table["request_id"])))),
        "items": items,
        "sellers": items.take(pa.array(_first_of(unix_seconds(items["timestamp"]) // DAY, *_seller_keys(items)))),
    }


def _requests_of_days(table: pa.Table, most: int) -> pa.Table:
    """The rows of at most `most` requests per day, from an even and deterministic sample."""
    days, codes = unix_seconds(table["timestamp"]) // DAY, _codes_of(table["request_id"])
    _, first = np.unique(codes, return_index=True)  # codes count from 0 in the order of first rows
    order = np.random.default_rng(0).permutation(len(first))
    by_day = order[np.argsort(days[first][order], kind="stable")]
    _, begin, sizes = np.unique(days[first][by_day], return_index=True, return_counts=True)
    place = np.arange(len(by_day)) - np.repeat(begin, sizes)
    kept = np.zeros(len(first), dtype=np.bool_)
    kept[by_day[place < most]] = True
    return table.filter(pa.array(kept[codes]))


def _seller_keys(items: pa.Table) -> list[npt.NDArray[np.float64]]:
    """Keys that distinguish sellers: their code, or their features if they have no code."""
    names = [name for name in items.column_names if name.startswith(FEATURE_PREFIX + SELLER_PREFIX)]
    columns = {name: np.nan_to_num(items[name].to_numpy().astype(np.float64), nan=-1.0) for name in names}
    codes = columns.pop(FEATURE_PREFIX + SELLER, np.zeros(items.num_rows))
    return [codes, *(np.where(codes > 0, 0.0, values) for values in columns.values())]


def num_units(tables: Mapping[Counted, pa.Table]) -> dict[Counted, int]:
    """Number of independent units of each kind. The items of a slate are chosen together, so `rows` counts requests.

    Items and sellers are counted on the day with the largest number, because the next day shows the same items again.
    """
    requests = tables["requests"].num_rows
    found: dict[Counted, int] = {"rows": requests, "requests": requests}
    for counted in ("items", "sellers"):
        days = unix_seconds(tables[counted]["timestamp"]) // DAY
        found[counted] = int(np.unique(days, return_counts=True)[1].max(initial=0))
    return found


def effective_requests(table: pa.Table) -> float:
    """Effective number of distinct users: the number of independent requests with the same information.

    The requests of a user are alike. With n_u requests of user u, the effective number is (sum n_u)^2 / sum n_u^2
    (L. Kish, Survey Sampling, 1965, 11.7; clusters that are homogeneous within).
    """
    requests = table.take(pa.array(_first_of(_codes_of(table["request_id"]))))
    of_users = np.bincount(_codes_of(requests["user_id"])).astype(np.float64)
    return float(of_users.sum() ** 2 / max(np.square(of_users).sum(), 1.0))


def _codes_of(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """A code for each distinct text [n]."""
    return np.asarray(column.combine_chunks().dictionary_encode().indices.to_numpy(), dtype=np.int64)


def _first_of(*keys: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The first row of every combination of the keys [n], ascending."""
    _, places = np.unique(np.stack(keys, axis=1), axis=0, return_index=True)
    return np.sort(places)


def ranked_rows(table: pa.Table) -> pa.Table:
    """The rows that the ranker ordered: rows with features (a missing feature is NaN, not null)."""
    names = (name for name in table.column_names if name.startswith(FEATURE_PREFIX) and name != FEATURE_HASH)
    return table.filter(pc.is_valid(table[next(names)]))


def _codes(values: tuple[str, ...]) -> dict[float, str]:
    return {float(code): value for code, value in enumerate(values, start=1)}
