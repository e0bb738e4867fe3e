"""A reader of users that opens its store on first use, and again after a failure.

A server must start while the online store is down, and answer with popular items. It must use the store once it works
again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from feature_repo.errors import FeatureStoreError
from feature_repo.features.state import TimeArray, UserColumns
from inference.feature_store.freshness import Freshness
from inference.feature_store.store_state import StoreState
from inference.hydrators.protocol import UserReader

RETRY_SECONDS = 2.0


class MarkedReader(UserReader, Protocol):
    """Reads users, and the marker of a filled store."""

    def freshness(self) -> Freshness | None:
        """Returns the marker; None if the store has none."""


class LateReader:
    """Opens a reader on demand, and again after a failure. Between failed attempts every read fails at once.

    Args:
        open_reader: Opens the store; raises FeatureStoreError if it cannot.
        state: Is informed of reads that miss a user; it then checks that the store was not emptied.
        retry_seconds: Time between attempts.
    """

    def __init__(
        self,
        open_reader: Callable[[], MarkedReader],
        state: StoreState | None = None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._open_reader = open_reader
        self._state = state or StoreState()
        self._retry_seconds = retry_seconds
        self._reader: MarkedReader | None = None
        self._failure = FeatureStoreError("The feature store has not been opened yet.")
        self._next_attempt = 0.0
        self._lock = threading.Lock()

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        """Returns the state of users.

        Raises:
            FeatureStoreError: The store cannot be opened or read.
        """
        reader = self._opened()
        try:
            columns = reader.users(user_ids, times)
            if not columns.known.all():
                self._state.suspect(reader.freshness)
            return columns
        except FeatureStoreError:
            with self._lock:
                if self._reader is reader:
                    self._reader = None
            raise

    def _opened(self) -> MarkedReader:
        reader = self._reader
        if reader is not None:
            return reader
        with self._lock:
            if self._reader is None:
                if time.monotonic() < self._next_attempt:
                    raise self._failure
                try:
                    self._reader = self._open_reader()
                except FeatureStoreError as error:
                    self._next_attempt = time.monotonic() + self._retry_seconds
                    self._failure = error
                    raise
            return self._reader
