"""The state of users and items at a given time, as columns.

The feature store returns ids. These types hold integer item rows (see `ItemColumns.item_ids`), so that all later code
is numpy over columns. Training rows and serving use the same types and the same transforms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]
TimeArray = npt.NDArray[np.float64]
OffsetArray = npt.NDArray[np.int64]

HISTORY_LENGTH = 100  # number of latest positive events kept per user


@dataclass(frozen=True, slots=True)
class History:
    """The last `HISTORY_LENGTH` positive events of each of q users, oldest first, flattened.

    Attributes:
        offsets: [q + 1], user i has the entries `offsets[i]:offsets[i + 1]`.
        rows: Item rows [n]; ids that the row map lacks are left out.
        grades: Objective grade of each event [n], 1 the weakest.
        times: Unix seconds [n].
    """

    offsets: OffsetArray
    rows: IntArray
    grades: npt.NDArray[np.int8]
    times: TimeArray


@dataclass(frozen=True, slots=True)
class OwnItems:
    """Every item with which each of q users ever had a positive or negative event, sorted by row within the user.

    Attributes:
        offsets: [q + 1].
        rows: Item rows [n], ascending and distinct within a user.
        counts: Positive events [n] (0 if there are only negative events).
        negatives: Negative events [n].
        grades: Strongest objective grade reached [n], 0 if there are only negative events.
        first: Unix seconds of the first event [n].
        last: Unix seconds of the latest event [n].
    """

    offsets: OffsetArray
    rows: IntArray
    counts: FloatArray
    negatives: FloatArray
    grades: npt.NDArray[np.int8]
    first: TimeArray
    last: TimeArray


@dataclass(frozen=True, slots=True)
class UserColumns:
    """State of q users as of the times of their queries (a user may occur several times).

    Attributes:
        known: Whether the store has the user [q].
        numeric: Features in `FeatureSet.user_numeric` order [q, len]; NaN is missing.
        categorical: Codes in `FeatureSet.user_categorical` order [q, len]; 0 is missing or unknown.
        country: Country as text [q], "" where unknown.
        history: Last positive events.
        own: Own items over the whole history.
    """

    known: npt.NDArray[np.bool_]
    numeric: FloatArray
    categorical: IntArray
    country: npt.NDArray[np.object_]
    history: History
    own: OwnItems

    def __len__(self) -> int:
        return len(self.known)


@dataclass(frozen=True, slots=True)
class ItemColumns:
    """The catalogue as of a given time; row i of every column is item `item_ids[i]`.

    Attributes:
        item_ids: Ids as text [m], sorted; the row map.
        numeric: Features in `FeatureSet.item_numeric` order [m, len]; NaN is missing.
        categorical: Codes in `FeatureSet.item_categorical` order [m, len]; 0 is missing or unknown.
        price: Unit price [m], NaN where missing.
        available: In stock (missing counts as in stock) [m].
        created_at: Unix seconds [m], NaN if unknown; an item is not shown before this time.
        regions: Text of allowed countries joined by "|" [m], "" is everywhere.
        min_age: Minimum age in years [m], 0 if unrestricted.
    """

    item_ids: npt.NDArray[np.object_]
    numeric: FloatArray
    categorical: IntArray
    price: FloatArray
    available: npt.NDArray[np.bool_]
    created_at: TimeArray
    regions: npt.NDArray[np.object_]
    min_age: FloatArray

    def __len__(self) -> int:
        return len(self.item_ids)
