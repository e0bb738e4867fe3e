"""The served log: accepts slates and events from the requests, and writes them to the log in the background.

    record -> queue -> (a flush) -> parts in the outbox -> (delivery) -> log
    accept -> journal on the disk -> (a flush) -> parts in the outbox -> (delivery) -> log

Recording a slate never waits and never fails: slates without room in the queue are counted as lost. An accepted event
is on the disk before the request is answered. A failing disk or bucket is logged once, and retried at every flush.
Meanwhile slates wait in the queue, parts in the outbox, and journals in the spool. Each flush writes a part per hour
and feature set.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from feature_repo.errors import StorageError
from feature_repo.storage.files import sync_directory
from inference.candidates.query import Slate
from inference.log.impressions import impressions_table
from inference.log.interactions import events_table, sound_events
from inference.log.journal import Journal, JournalEvent, read_journal
from inference.log.layout import IMPRESSIONS, INTERACTIONS
from inference.log.outbox import Outbox
from inference.log.spool import Spool
from inference.metrics import Metrics
from inference.models.artifacts import Artifacts

STOP_SECONDS = 10.0  # maximum time for the last flush when the process ends
log = logging.getLogger("kuberec")


@dataclass(frozen=True, slots=True)
class _Opened:
    """Objects that need the spool."""

    spool: Spool
    journal: Journal
    outbox: Outbox


class LogWriter:
    """Writes the log of a process; thread-safe.

    Args:
        url: The log's directory or s3:// URL.
        spool: Local directory for undelivered rows.
        metrics: Receives the counts.
        flush_seconds: Time between flushes.
        max_slates: Maximum number of slates in the queue.
    """

    def __init__(self, url: str, spool: Path, metrics: Metrics, *, flush_seconds: float, max_slates: int) -> None:
        self._url = url
        self._spool_dir = spool
        self._metrics = metrics
        self._flush_seconds = flush_seconds
        self._max_slates = max_slates
        self._queue: list[tuple[Slate, Artifacts]] = []
        self._lock = threading.Lock()
        self._opened: _Opened | None = None
        self._failing: set[str] = set()
        self._num_flushes = 0
        self._stopping = False
        self._flush = threading.Event()
        self._deliver = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, name="log-writer", daemon=True),
            threading.Thread(target=self._carry, name="log-delivery", daemon=True),
        ]
        metrics.log_waits(self._num_waiting)

    def start(self) -> None:
        """Takes over the spool of ended processes, and starts to flush."""
        self._trying("spool", self._open)
        for thread in self._threads:
            thread.start()

    def record(self, slates: Sequence[Slate], artifacts: Artifacts) -> None:
        """Queues slates that were served from `artifacts`; slates without room are lost and counted."""
        shown = [slate for slate in slates if len(slate.rows)]
        with self._lock:
            room = max(0, self._max_slates - len(self._queue))
            self._queue.extend((slate, artifacts) for slate in shown[:room])
            crowded = len(self._queue) > self._max_slates // 2
        self._lose("queue_full", [(slate, artifacts) for slate in shown[room:]])
        if crowded and not self._failing:
            self._flush.set()

    def accept(self, events: Sequence[JournalEvent]) -> Future[None]:
        """Accepts events; the returned future completes once the events survive the end of the process.

        The future ends with a StorageError if the spool cannot be written or is full.
        """
        opened = self._opened
        if opened is not None and not opened.outbox.full:
            return opened.journal.append(events)
        why = "cannot be written" if opened is None else f"is full, since {self._url} cannot be written"
        self._metrics.events("failed", len(events))
        refused: Future[None] = Future()
        refused.set_exception(StorageError(f"The log's spool {self._spool_dir} {why}; post the events again later."))
        return refused

    def stop(self) -> None:
        """Flushes and delivers waiting rows, for at most `STOP_SECONDS`."""
        self._stopping = True
        deadline = time.monotonic() + STOP_SECONDS
        for thread, wake in zip(self._threads, (self._flush, self._deliver), strict=True):
            wake.set()
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        if self._opened is not None and not any(thread.is_alive() for thread in self._threads):
            self._opened.spool.close()

    def _write(self) -> None:
        """Body of the thread that flushes."""
        last = False
        while not last:
            self._flush.wait(self._flush_seconds)
            self._flush.clear()
            last = self._stopping
            self._trying("spool", self._open)
            if self._opened is not None:
                if last:
                    self._opened.journal.stop()
                self._flush_slates(self._opened)
                self._trying("journal", partial(self._flush_events, self._opened))
                self._deliver.set()

    def _carry(self) -> None:
        """Body of the thread that delivers, which is separate because a bucket may be slow."""
        last = False
        while not last:
            self._deliver.wait()
            self._deliver.clear()
            last = self._stopping and not self._threads[0].is_alive()
            if self._opened is not None:
                self._trying("delivery", self._opened.outbox.deliver)
                self._opened.outbox.give_up()

    def _open(self) -> None:
        if self._opened is None:
            spool = Spool.open(self._spool_dir)
            try:
                outbox = Outbox(spool.directory, self._url, self._metrics)
            except OSError:
                spool.close()  # the next try takes over the same files
                raise
            self._opened = _Opened(spool, Journal(spool.directory, spool.worker, self._metrics), outbox)

    def _flush_slates(self, opened: _Opened) -> None:
        with self._lock:
            taken, self._queue = self._queue, []
        groups: dict[str, list[tuple[Slate, Artifacts]]] = defaultdict(list)
        for slate, artifacts in taken:
            groups[artifacts.feature_set.hash].append((slate, artifacts))
        self._num_flushes += 1
        for feature_hash, group in groups.items():
            name = f"part-{opened.spool.worker}-{self._num_flushes:06d}-{feature_hash}.parquet"
            self._trying("impressions", partial(self._put_slates, opened, group, name))

    def _put_slates(self, opened: _Opened, group: list[tuple[Slate, Artifacts]], name: str) -> None:
        try:
            opened.outbox.put(IMPRESSIONS, _rows(group), name)
        except OSError:
            self._put_back(group)
            raise
        except Exception:
            self._lose("error", group)
            raise

    def _put_back(self, taken: list[tuple[Slate, Artifacts]]) -> None:
        """Queues slates again that could not be written, before newer slates."""
        with self._lock:
            self._queue = taken + self._queue
            lost, self._queue = self._queue[self._max_slates :], self._queue[: self._max_slates]
        self._lose("queue_full", lost)

    def _lose(self, reason: str, lost: Sequence[tuple[Slate, Artifacts]]) -> None:
        if lost:
            self._metrics.lost(IMPRESSIONS, reason, sum(len(slate.rows) for slate, _ in lost))

    def _flush_events(self, opened: _Opened) -> None:
        for path in opened.journal.close_files():  # a journal that cannot be read must not block the others
            self._trying(f"interactions of {path.name}", partial(self._put_events, opened, path))

    def _put_events(self, opened: _Opened, journal: Path) -> None:
        """Converts a closed journal to parts."""
        events, num_damaged = read_journal(journal)
        sound = sound_events(events)
        num_damaged += len(events) - len(sound)
        if sound:
            opened.outbox.put(INTERACTIONS, events_table(sound), f"part-{journal.stem}.parquet")
        # The parts are durable before the journal is removed. If written again, they would have the same names.
        sync_directory(journal.parent)
        journal.unlink()
        if num_damaged:
            self._metrics.lost(INTERACTIONS, "damaged", num_damaged)
            log.error("%d lines of the event journal %s are damaged", num_damaged, journal)

    def _trying(self, what: str, work: Callable[[], None]) -> None:
        """Runs a part of the work; logs a failure once, and once when the work succeeds again."""
        try:
            work()
        except (OSError, StorageError) as error:
            if what not in self._failing:
                self._failing.add(what)
                said = "logging fails and is tried again every %g s (%s, by way of %s): %s"
                log.error(said, self._flush_seconds, what, self._spool_dir, error)
        except Exception:
            # The thread must survive, because the next rows may succeed.
            log.exception("logging failed")
        else:
            if what in self._failing:
                self._failing.remove(what)
                log.warning("logging works again: %s", what)

    def _num_waiting(self) -> int:
        with self._lock:
            queued = sum(len(slate.rows) for slate, _ in self._queue)
        return queued + (0 if self._opened is None else self._opened.outbox.num_rows)


def _rows(group: Sequence[tuple[Slate, Artifacts]]) -> pa.Table:
    """Rows of slates of the same feature set, which several bundles may share; each bundle has its own item rows."""
    releases: dict[str, list[Slate]] = defaultdict(list)
    artifacts_of: dict[str, Artifacts] = {}
    for slate, artifacts in group:
        releases[slate.bundle_version].append(slate)
        artifacts_of[slate.bundle_version] = artifacts
    return pa.concat_tables([impressions_table(slates, artifacts_of[version]) for version, slates in releases.items()])
