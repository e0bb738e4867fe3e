"""The live record next to an embedded online store: a SQLite file for each dataset."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import cast

from feature_repo.errors import FeatureStoreError
from inference.feature_store.live.record import KEPT_SECONDS, MOST_EVENTS, LiveEvent
from inference.feature_store.project import StoreSettings

BUSY_SECONDS = 1.0  # wait for another server's append
SCHEMA = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS live (
        place INTEGER PRIMARY KEY, user_id TEXT, event_id TEXT, item_id TEXT, event_type TEXT, time INTEGER, kept REAL
    );
    CREATE INDEX IF NOT EXISTS live_user ON live (user_id, place);
    CREATE INDEX IF NOT EXISTS live_kept ON live (kept);
"""
INSERT = "INSERT INTO live (user_id, event_id, item_id, event_type, time, kept) VALUES (?, ?, ?, ?, ?, ?)"
TRIM = """
    DELETE FROM live WHERE user_id = ? AND place <= (
        SELECT place FROM live WHERE user_id = ? ORDER BY place DESC LIMIT 1 OFFSET ?
    )
"""
READ = "SELECT user_id, event_id, item_id, event_type, time FROM live WHERE user_id = ? ORDER BY place"


class SqliteLiveStore:
    """See `LiveStore`. Each thread keeps a connection for reads.

    Args:
        settings: Dataset and directory.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._path = settings.directory / f"live-{settings.dataset}.db"
        self._readers = threading.local()

    def append(self, events: Sequence[LiveEvent]) -> None:
        """See `LiveStore.append`; one transaction, which a power cut may lose: the log has the events."""
        now = time.time()
        with self._failing(), closing(self._connect()) as connection, connection:
            connection.executemany(INSERT, [(*event, now) for event in events])
            users = {event.user_id for event in events}
            connection.executemany(TRIM, [(user_id, user_id, MOST_EVENTS) for user_id in users])
            connection.execute("DELETE FROM live WHERE kept < ?", [now - KEPT_SECONDS])

    def read(self, user_ids: Sequence[str]) -> list[list[LiveEvent]]:
        """See `LiveStore.read`; without a file there are no events."""
        with self._failing():
            connection = self._reader()
            if connection is None:
                return [[] for _ in user_ids]
            return [list(map(LiveEvent._make, connection.execute(READ, [user_id]))) for user_id in user_ids]

    def _reader(self) -> sqlite3.Connection | None:
        """This thread's connection to the file that is there now; None without a file."""
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            return None
        if getattr(self._readers, "inode", None) != inode:
            self._readers.connection, self._readers.inode = self._connect(), inode
        return cast(sqlite3.Connection, self._readers.connection)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
        connection.executescript(SCHEMA)  # a reader may see the file before the first append made the table
        return connection

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise FeatureStoreError(f"Live events cannot be kept in {self._path}: {error}.") from error
