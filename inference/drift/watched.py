"""Which columns are watched for drift, and in which units their values are counted.

Watched are every ranker feature, the predictions and the labels of the log. The release step and the drift job count
with the same functions.
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

FEATURE_HASH = "feature_hash"  # of the log, whose name begins like those of features
SELLER_PREFIX, SELLER = "item_seller_", "item_seller_id"

Side = Literal["item", "user", "request"]
Kind = Literal["item", "exposure", "cross", "source", "user", "request", "calendar", "prediction", "label"]

SIDES: tuple[Side, ...] = ("item", "user", "request")
# What moves by itself: the clock, and how often something was shown, which is the recommender's own doing.
MOVING: Mapping[str, Kind] = {
    **dict.fromkeys((f"request_{name}" for name in ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos")), "calendar"),
    **dict.fromkeys((f"{side}_num_impressions_{days}d" for side in ("item", "user") for days in WINDOWS), "exposure"),
}
USER_EXPOSURE = frozenset(f"user_num_impressions_{days}d" for days in WINDOWS)
Counted = Literal["requests", "items", "sellers", "rows"]


@dataclass(frozen=True, slots=True)
class Watched:
    """A column that is watched.

    Attributes:
        name: Ranker feature, `score`, `p_<objective>` or `label_<objective>`.
        column: Its name in the impression log.
        kind: Whose property it is.
        names: Code -> word of a categorical column, None for quantities.
    """

    name: str
    column: str
    kind: Kind
    names: Mapping[float, str] | None = None

    @property
    def counted(self) -> Counted:
        """What is the same in many rows counts once.

        What of the user, of the request and of the calendar is the same in a slate counts once a request. What of an
        item is the same on a day counts once an item and day, however often it was shown; of a seller likewise.
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
    """All columns of a feature set that are watched: the ranker's features in order, predictions, labels."""
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
    """The rows of ranked slates that stand for each kind of unit, see `Watched.counted`.

    Of an item the last row of each day stays, of a seller the last one of its items'. Sellers without a code of their
    own are told apart by their features.

    Args:
        table: Ranked rows with the columns of the impression log.
        requests_a_day: Items and sellers are those of an even draw of so many requests of each day, as the more are
            asked the further the items shown reach into the tail; None for all.
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
    """The rows of at most so many requests of each day, drawn evenly and always alike."""
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
    """What tells sellers apart: their code, and where they have none their features."""
    names = [name for name in items.column_names if name.startswith(FEATURE_PREFIX + SELLER_PREFIX)]
    columns = {name: np.nan_to_num(items[name].to_numpy().astype(np.float64), nan=-1.0) for name in names}
    codes = columns.pop(FEATURE_PREFIX + SELLER, np.zeros(items.num_rows))
    return [codes, *(np.where(codes > 0, 0.0, values) for values in columns.values())]


def num_units(tables: Mapping[Counted, pa.Table]) -> dict[Counted, int]:
    """Independent units among counted tables: the items of one slate are chosen together, so rows are requests.

    Of items and sellers those of the day that has most: the next day shows the same ones again.
    """
    requests = tables["requests"].num_rows
    found: dict[Counted, int] = {"rows": requests, "requests": requests}
    for counted in ("items", "sellers"):
        days = unix_seconds(tables[counted]["timestamp"]) // DAY
        found[counted] = int(np.unique(days, return_counts=True)[1].max(initial=0))
    return found


def effective_requests(table: pa.Table) -> float:
    """Requests of as many different users that would tell as much as these rows' do.

    Somebody who asks often tells the same of themselves each time: of requests n_u by user, (sum n_u)^2 / sum n_u^2
    count (L. Kish, Survey Sampling, 1965, 11.7; clusters that are alike within).
    """
    requests = table.take(pa.array(_first_of(_codes_of(table["request_id"]))))
    of_users = np.bincount(_codes_of(requests["user_id"])).astype(np.float64)
    return float(of_users.sum() ** 2 / max(np.square(of_users).sum(), 1.0))


def _codes_of(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """A number for each distinct text [n]."""
    return np.asarray(column.combine_chunks().dictionary_encode().indices.to_numpy(), dtype=np.int64)


def _first_of(*keys: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The first row of every combination of the keys [n], ascending."""
    _, places = np.unique(np.stack(keys, axis=1), axis=0, return_index=True)
    return np.sort(places)


def ranked_rows(table: pa.Table) -> pa.Table:
    """The rows that the ranker ordered: those that have features (a missing one is NaN, not null)."""
    names = (name for name in table.column_names if name.startswith(FEATURE_PREFIX) and name != FEATURE_HASH)
    return table.filter(pc.is_valid(table[next(names)]))


def _codes(values: tuple[str, ...]) -> dict[float, str]:
    return {float(code): value for code, value in enumerate(values, start=1)}
