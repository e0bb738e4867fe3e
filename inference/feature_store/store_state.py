"""Whether the online store of a release is complete: an emptied store must not pass for a store of unknown users.

The marker, the freshness record, is written after all features and counts them. A store without a marker was emptied.
The process that reads the catalogue reports its findings here at every poll. In addition, a read that misses a user
looks for the marker at once, so that answers are marked before the next poll.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from inference.feature_store.freshness import Freshness

MARK = "store"  # in `degraded`, while the store is not complete
CHECK_SECONDS = 1.0  # between two reads of the marker because of unknown users
EMPTIED = (
    "The online store has no record of features for this bundle, so it was emptied or KUBEREC_REDIS names another "
    "database: run a refresh, which fills it again."
)

log = logging.getLogger("kuberec")


class StoreState:
    """The state of a store. Thread-safe.

    Attributes:
        fault: A sentence that says what is missing; "" while the store is complete, as far as is known.
    """

    def __init__(self) -> None:
        self.fault = ""
        self._next_check = 0.0
        self._lock = threading.Lock()

    def report(self, fault: str) -> None:
        """Sets the fault, "" for a complete store, and logs a change."""
        with self._lock:
            before, self.fault = self.fault, fault
        if fault and not before:
            log.error("%s", fault)
        elif before and not fault:
            log.warning("the online store is complete again")

    def suspect(self, read_marker: Callable[[], Freshness | None]) -> None:
        """Looks for the marker after a read that missed a user, at most once in `CHECK_SECONDS`.

        Args:
            read_marker: Reads the marker; None if there is none.

        Raises:
            FeatureStoreError: The store cannot be read.
        """
        with self._lock:
            if self.fault or time.monotonic() < self._next_check:
                return
            self._next_check = time.monotonic() + CHECK_SECONDS
        if read_marker() is None:
            self.report(EMPTIED)


def fault_of(marker: Freshness | None, held: Freshness | None, num_keys: int | None, num_evicted: int) -> str:
    """What is wrong with a store as a whole; "" if nothing is known to be wrong.

    Args:
        marker: The marker of the store.
        held: The marker of the catalogue in use, None for the snapshot of the bundle.
        num_keys: Number of keys in the database, of any feature set; None if the store cannot count them cheaply.
        num_evicted: Number of keys that the server has evicted since its start.
    """
    if marker is None:
        return EMPTIED
    if held is not None and marker.computed_at < held.computed_at:
        return (
            "The online store went back to older features, as a restored backup or a replica that lags does: run a "
            "refresh, which writes newer ones."
        )
    if num_keys is not None and num_keys < marker.num_keys:
        return (
            f"The online store holds {num_keys:,} keys, fewer than the {marker.num_keys:,} of this bundle: keys were "
            "deleted or evicted; run a refresh, which writes them again."
        )
    if num_evicted not in (0, marker.num_evicted):
        return (
            f"The Redis server has evicted keys ({num_evicted:,} since its start): set maxmemory-policy to noeviction, "
            "give it more memory, and run a refresh."
        )
    return ""


def missing_items(num_missing: int, num_items: int) -> str:
    """The fault of a catalogue that was read with rows missing; "" if none is."""
    if not num_missing:
        return ""
    return (
        f"The online store lacks {num_missing:,} of the {num_items:,} items of this bundle, which keep their earlier "
        "values: run a refresh, which writes them again."
    )
