"""The popular lists of a refresh in the online store, in one record under the key of the freshness record.

A list holds rows, so the record names the bundle of each list: bundles with the same features may have different row
maps and half-lives. A refresh replaces the whole record, which has a list for at most two bundles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import BytesList, StringList, Value

from feature_repo.definitions import LIST_BUNDLES, LISTS
from inference.feature_store.freshness import KEY
from inference.feature_store.values import Record, array_of
from inference.models.popularity import Popularity

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
    def of(cls, record: Record | None, version: str, num_items: int) -> StoredList:
        """Finds the list of a bundle in the record that was read for `KEY`.

        Args:
            record: None if there is no record.
            version: Version of the bundle.
            num_items: Size of the bundle's row map.
        """
        lists = dict(zip(array_of(record, LIST_BUNDLES), array_of(record, LISTS), strict=False))
        if version not in lists:
            return cls()
        try:
            found = Popularity.of_bytes(lists[version])
        except ValueError:
            return cls(fault=DAMAGED)
        return cls(found) if found.fits(num_items) else cls(fault=DAMAGED)


def lists_row(
    lists: Mapping[str, Popularity], computed_at: float
) -> tuple[EntityKey, dict[str, Value], datetime, datetime | None]:
    """Returns the record of the lists in Feast's form.

    Args:
        lists: Version of a bundle -> its list.
        computed_at: Wall time at which the dataset was read, unix seconds.
    """
    values = {
        LIST_BUNDLES: Value(string_list_val=StringList(val=lists)),
        LISTS: Value(bytes_list_val=BytesList(val=[popularity.to_bytes() for popularity in lists.values()])),
    }
    return KEY, values, datetime.fromtimestamp(computed_at, UTC), None
