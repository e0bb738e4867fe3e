"""The popular lists of a refresh in the online store, in one record under the key of the freshness record.

The store holds ids and no rows, so a list carries the ids of its items. Bundles with the same features may have
different items and half-lives, so the record names the bundle of each list. A refresh replaces the whole record, which
has a list for at most two bundles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import BytesList, StringList, Value

from feature_repo.definitions import LIST_BUNDLES, LISTS
from inference.feature_store.freshness import KEY
from inference.feature_store.values import Record, array_of
from inference.models.popularity import DAMAGED as DAMAGED_FILE
from inference.models.popularity import Popularity

_SEPARATOR = "\n"  # ids have no control characters

DAMAGED = (
    "The popular list of this bundle in the online store is damaged, so the list in use stays: run a refresh, which "
    "writes it again."
)


@dataclass(frozen=True, slots=True)
class StoredList:
    """The list that the store holds for a bundle.

    Attributes:
        popularity: The list; None if the store has none or a damaged one.
        fault: A sentence if the list is damaged, else "".
    """

    popularity: Popularity | None = None
    fault: str = ""

    @classmethod
    def of(cls, record: Record | None, version: str, item_ids: npt.NDArray[np.object_]) -> StoredList:
        """Finds the list of a bundle in the record that was read for `KEY`.

        Args:
            record: None if there is no record.
            version: Version of the bundle.
            item_ids: The bundle's row map [m].
        """
        lists = dict(zip(array_of(record, LIST_BUNDLES), array_of(record, LISTS), strict=False))
        if version not in lists:
            return cls()
        try:
            return cls(of_ids(lists[version], item_ids))
        except ValueError:
            return cls(fault=DAMAGED)


def by_ids(popularity: Popularity, item_ids: npt.NDArray[np.object_]) -> bytes:
    """Returns a popular list with the ids of its items instead of the rows of a row map [m], as npz without objects."""
    listed = np.append(popularity.top_rows, popularity.country_rows)
    used = np.union1d(np.flatnonzero(popularity.score), listed)
    local = replace(
        popularity,
        score=popularity.score[used],
        top_rows=np.searchsorted(used, popularity.top_rows).astype(np.int32),
        country_rows=np.searchsorted(used, popularity.country_rows).astype(np.int32),
    )
    content = BytesIO()
    text = _SEPARATOR.join(item_ids[used].tolist()).encode()
    np.savez(content, item_ids=_octets(text), popularity=_octets(local.to_bytes()))
    return content.getvalue()


def of_ids(content: bytes, item_ids: npt.NDArray[np.object_]) -> Popularity:
    """Returns the result of `by_ids` for the rows of a row map [m].

    Raises:
        ValueError: The content is damaged, or names an item that the row map lacks.
    """
    try:
        with np.load(BytesIO(content), allow_pickle=False) as parts:
            text, local = parts["item_ids"].tobytes().decode(), Popularity.of_bytes(parts["popularity"].tobytes())
    except DAMAGED_FILE as error:
        raise ValueError(f"not a popular list: {error}") from error
    ids = text.split(_SEPARATOR) if text else []
    found = pc.index_in(pa.array(ids, pa.string()), value_set=pa.array(item_ids, pa.string()))
    if found.null_count or not local.fits(len(ids)):
        raise ValueError("the popular list names items that the bundle lacks")
    rows = np.asarray(found).astype(np.int32)
    score = np.zeros(len(item_ids), dtype=np.float32)
    score[rows] = local.score
    return replace(local, score=score, top_rows=rows[local.top_rows], country_rows=rows[local.country_rows])


def lists_row(
    lists: Mapping[str, bytes], computed_at: float
) -> tuple[EntityKey, dict[str, Value], datetime, datetime | None]:
    """Returns the record of the lists in Feast's form.

    Args:
        lists: Version of a bundle -> its list, see `by_ids`.
        computed_at: Wall time at which the dataset was read, unix seconds.
    """
    values = {
        LIST_BUNDLES: Value(string_list_val=StringList(val=lists)),
        LISTS: Value(bytes_list_val=BytesList(val=lists.values())),
    }
    return KEY, values, datetime.fromtimestamp(computed_at, UTC), None


def _octets(content: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(content, dtype=np.uint8)
