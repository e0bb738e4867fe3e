"""The journal of events: an event acknowledged with 202 is on the disk and survives the process.

A single thread writes; events posted during a sync of the disk share the next sync. Each line is an event as JSON. The
writer (`writer.py`) turns closed journals into parts of the log. A journal of a killed process may end in half a line,
which was never acknowledged. While the disk fails, `append` reports a `StorageError`.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import Any, Protocol

from pydantic_core import from_json

from feature_repo.errors import StorageError
from feature_repo.storage.files import sync_directory
from inference.log.spool import JOURNAL_PREFIX
from inference.metrics import Metrics

RECENT_IDS = 200_000  # remembered event ids, about 30 MB; readers drop events that are repeated later
MAX_PENDING = 50_000  # events that may wait for a slow disk
log = logging.getLogger("kuberec")


class JournalEvent(Protocol):
    """An event that was checked at the edge."""

    @property
    def event_id(self) -> str:
        """Unique over all events."""

    def model_dump_json(self, *, exclude_none: bool) -> str:
        """The event as a line of JSON."""


class Journal:
    """Stores events durably. Thread-safe.

    Args:
        directory: Receives the journal's files; existing journals of other processes count as closed.
        worker: Name of this process, part of the file names.
        metrics: Counts accepted, repeated and failed events.
    """

    def __init__(self, directory: Path, worker: str, metrics: Metrics) -> None:
        self._directory = directory
        self._worker = worker
        self._metrics = metrics
        self._pending: list[tuple[Sequence[JournalEvent], Future[None]]] = []
        self._num_pending = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._file = threading.Lock()  # held while a file is written, synced or closed
        self._path: Path | None = None
        self._descriptor = -1
        self._num_files = 0
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def append(self, events: Sequence[JournalEvent]) -> Future[None]:
        """A future that completes once the events are on the disk, or fails with a StorageError."""
        future: Future[None] = Future()
        with self._changed:
            if not self._stopping and self._num_pending + len(events) <= MAX_PENDING:
                self._pending.append((events, future))
                self._num_pending += len(events)
                self._changed.notify()
                return future
        self._metrics.events("failed", len(events))
        why = "The server is stopping" if self._stopping else "The event journal's disk does not keep up"
        future.set_exception(StorageError(f"{why}; post the events again in a moment."))
        return future

    def close_files(self) -> list[Path]:
        """Closes the current file; returns all closed files, which the writer turns into parts and removes."""
        with self._file:
            self._close()
            return sorted(self._directory.glob(f"{JOURNAL_PREFIX}*"))

    def stop(self) -> None:
        """Writes pending events, then stops the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._stopping)
                posted, self._pending, self._num_pending = self._pending, [], 0
            if not posted:
                return
            failure: StorageError | None
            try:
                failure = self._commit([event for events, _ in posted for event in events])
            except Exception:
                # The thread must survive: the next events may succeed.
                log.exception("Writing events to the journal failed.")
                failure = StorageError("The events could not be stored; see the server's log for the cause.")
            for _, future in posted:
                _settle(future, failure)

    def _commit(self, events: Sequence[JournalEvent]) -> StorageError | None:
        fresh: dict[str, bytes] = {}
        for event in events:
            if event.event_id not in self._recent and event.event_id not in fresh:
                fresh[event.event_id] = event.model_dump_json(exclude_none=True).encode() + b"\n"
        try:
            with self._file:
                if fresh:
                    self._write(b"".join(fresh.values()))
        except OSError as error:
            self._metrics.events("failed", len(events))
            return StorageError(
                f"The event journal in {self._directory} cannot be written: {error.strerror}; post the events again."
            )
        self._metrics.events("accepted", len(fresh))
        self._metrics.events("repeated", len(events) - len(fresh))
        self._recent.update(dict.fromkeys(fresh))
        while len(self._recent) > RECENT_IDS:
            self._recent.popitem(last=False)
        return None

    def _write(self, content: bytes) -> None:
        try:
            if self._path is None:
                self._open()
            left = memoryview(content)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fdatasync(self._descriptor)
        except OSError:
            # Part of the content may have reached the disk; no event may follow half a line.
            self._close()
            raise

    def _open(self) -> None:
        self._num_files += 1
        path = self._directory / f"{JOURNAL_PREFIX}{self._worker}-{self._num_files:06d}.jsonl"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._path = path
        sync_directory(self._directory)

    def _close(self) -> None:
        if self._path is not None:
            self._path = None
            os.close(self._descriptor)


def read_journal(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The events of a closed journal, and the number of damaged lines.

    Half a line at the end does not count as damaged, because its event was never acknowledged.

    Raises:
        OSError: The file cannot be read.
    """
    *lines, _half = path.read_bytes().split(b"\n")
    found: list[dict[str, Any]] = []
    num_damaged = 0
    for line in lines:
        try:
            event = from_json(line)
        except ValueError:
            event = None
        if isinstance(event, dict) and "event_id" in event:
            found.append(event)
        else:
            num_damaged += 1
    return found, num_damaged


def _settle(future: Future[None], failure: StorageError | None) -> None:
    try:
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)
    except InvalidStateError:
        return  # the waiting request was cancelled
