"""The catalogue's state on disk; a server starts from this first snapshot, before the online store answers.

Reads and writes `items.npz` and the row map `item_ids.parquet`. Row i of every array is item i.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import BundleError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import ItemColumns
from feature_repo.storage.files import atomic_write, write_parquet

_COLUMNS = ("numeric", "categorical", "price", "available", "created_at", "regions", "min_age")


def save_item_ids(path: Path, item_ids: npt.NDArray[np.object_]) -> None:
    """Writes the row map."""
    write_parquet(path, pa.table({"item_id": pa.array(item_ids.tolist(), type=pa.string())}))


def load_item_ids(path: Path) -> npt.NDArray[np.object_]:
    """Reads the row map.

    Raises:
        BundleError: If the file is missing or damaged, or its ids are not sorted and distinct.
    """
    try:
        ids = pq.read_table(path, columns=["item_id"])["item_id"].to_pylist()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise BundleError(f"The row map {path} cannot be read: {error}.") from error
    if any(one >= other for one, other in pairwise(ids)):
        raise BundleError(f"The ids of the row map {path} are not sorted and distinct.")
    return np.array(ids, dtype=object)


def save_items(path: Path, items: ItemColumns) -> None:
    """Writes every column except the ids, as npz without objects."""
    columns = {name: getattr(items, name) for name in _COLUMNS}
    columns["regions"] = items.regions.astype(np.str_)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **columns)


def completed(items: ItemColumns, held: npt.NDArray[np.bool_], before: ItemColumns) -> ItemColumns:
    """Returns a catalogue whose missing rows are those of an earlier catalogue with the same row map.

    Args:
        items: The catalogue [m].
        held: Whether each row was read [m].
        before: The earlier catalogue [m].
    """

    def column(name: str) -> npt.NDArray[Any]:
        new, old = getattr(items, name), getattr(before, name)
        return cast(npt.NDArray[Any], np.where(held.reshape(-1, *[1] * (new.ndim - 1)), new, old))

    return replace(items, **{name: column(name) for name in _COLUMNS})


def load_items(path: Path, item_ids: npt.NDArray[np.object_], feature_set: FeatureSet) -> ItemColumns:
    """Loads the columns of the catalogue.

    Raises:
        BundleError: If the file is missing or damaged, or does not match the row map or the feature set.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            columns = {name: arrays[name] for name in _COLUMNS}
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"The item snapshot {path} cannot be read: {error}.") from error
    widths = (columns["numeric"].shape[1:], columns["categorical"].shape[1:])
    fits = widths == ((len(feature_set.item_numeric),), (len(feature_set.item_categorical),))
    if not fits or any(len(column) != len(item_ids) for column in columns.values()):
        raise BundleError(f"The item snapshot {path} does not match its row map and feature set: train again.")
    columns["regions"] = columns["regions"].astype(object)
    return ItemColumns(item_ids=item_ids, **columns)
