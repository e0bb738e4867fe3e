"""Delivers parts to the log: each part is written completely to the local disk first, then moved, with retries.

A part appears in the log as a whole and once, even if a process dies in between. Undelivered parts never fill the disk:
above a limit the oldest impressions are dropped and counted, but events never are. The outbox does not validate rows.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.errors import StorageError
from feature_repo.storage.files import write_parquet
from feature_repo.storage.folder import open_folder
from inference.log.layout import HOUR, IMPRESSIONS, hour_folder
from inference.log.spool import OUTBOX_PREFIX
from inference.metrics import Metrics

MAX_WAITING_BYTES = 1 << 30  # of undelivered parts
SEPARATOR = "@"  # replaces / in the names of waiting parts, so that the outbox needs no subfolders
MICROS = 1_000_000
log = logging.getLogger("kuberec")


@dataclass(frozen=True, slots=True)
class _Part:
    path: Path
    num_rows: int
    num_bytes: int

    @property
    def name(self) -> str:
        """Path of the part below the log."""
        return self.path.name.removeprefix(OUTBOX_PREFIX).replace(SEPARATOR, "/")

    @property
    def table(self) -> str:
        return self.name.split("/")[0]


class Outbox:
    """Writes and delivers parts; one thread may call `put` while another calls `deliver` and `give_up`.

    Args:
        directory: Spool folder of this process; parts that are already in it are delivered too.
        log: The log's directory or s3:// URL.
        metrics: Counts delivered and lost rows.
        max_bytes: Limit of the undelivered parts.
    """

    def __init__(self, directory: Path, log: str, metrics: Metrics, *, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self._directory = directory
        self._log = log
        self._folder = open_folder(log)
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._parts: dict[str, _Part] = {}
        self._num_rows = self._num_bytes = 0  # kept up to date, because requests read them and parts may be many
        for part in _found(directory, metrics):
            self._add(part)

    @property
    def num_rows(self) -> int:
        """Rows that wait."""
        return self._num_rows

    @property
    def full(self) -> bool:
        """Whether the undelivered parts exceed the limit."""
        return self._num_bytes > self._max_bytes

    def put(self, table: str, rows: pa.Table, name: str) -> None:
        """Writes rows as a part per hour; either all parts or none.

        Args:
            table: impressions or interactions.
            rows: Rows with a timestamp each.
            name: File name of the parts; replaces a part with the same name and hour.

        Raises:
            OSError: The disk is full or not writable.
        """
        staged: list[tuple[Path, Path, int]] = []
        try:
            for hour, part in _by_hour(rows):
                waiting = SEPARATOR.join([OUTBOX_PREFIX + table, *hour_folder(hour).split("/"), name])
                hidden = self._directory / f".{waiting}"
                staged.append((hidden, self._directory / waiting, part.num_rows))
                write_parquet(hidden, part)
            parts = [_Part(target, num_rows, hidden.stat().st_size) for hidden, target, num_rows in staged]
            with self._lock:
                for hidden, target, _ in staged:
                    hidden.replace(target)
                for part in parts:
                    self._add(part)
        finally:
            for hidden, _, _ in staged:
                hidden.unlink(missing_ok=True)

    def deliver(self) -> None:
        """Moves the waiting parts into the log; a part that another process removed is lost, and counted.

        Raises:
            StorageError: The log cannot be written; the remaining parts wait.
        """
        with self._lock:
            parts = list(self._parts.values())
        for part in parts:
            is_there = part.path.is_file()
            if is_there:
                self._move(part)
            with self._lock:
                if not part.path.exists():  # otherwise it was written again in the meantime
                    self._drop(part.name)
            if is_there:
                self._metrics.logged(part.table, part.num_rows)
            else:
                self._metrics.lost(part.table, "damaged", part.num_rows)
                log.error("%s, a part that waited for delivery to the log, does not exist any more", part.path)

    def give_up(self) -> None:
        """Removes the oldest impressions while the undelivered parts exceed the limit."""
        while self.full:
            with self._lock:
                part = next((part for part in self._parts.values() if part.table == IMPRESSIONS), None)
                if part is None:
                    return
                self._drop(part.name)
            part.path.unlink(missing_ok=True)
            self._metrics.lost(IMPRESSIONS, "spool_full", part.num_rows)

    def _add(self, part: _Part) -> None:
        """Adds a waiting part, replacing a part with the same name; the caller holds the lock."""
        self._drop(part.name)
        self._parts[part.name] = part
        self._num_rows += part.num_rows
        self._num_bytes += part.num_bytes

    def _drop(self, name: str) -> None:
        """Removes a part from the waiting parts; the caller holds the lock."""
        part = self._parts.pop(name, None)
        if part is not None:
            self._num_rows -= part.num_rows
            self._num_bytes -= part.num_bytes

    def _move(self, part: _Part) -> None:
        try:
            self._folder.move_in(part.path, part.name)
        except OSError as error:
            raise StorageError(f"The log {self._log} cannot be written: {error}.") from error


def _found(directory: Path, metrics: Metrics) -> Iterator[_Part]:
    """Waiting parts in a folder, oldest first; a damaged part is set aside.

    The number of rows of a damaged part is unknown, so it counts as one lost row.
    """
    for path in sorted(directory.glob(f"{OUTBOX_PREFIX}*"), key=lambda path: path.stat().st_mtime):
        try:
            num_rows = pq.read_metadata(path).num_rows
        except (OSError, pa.ArrowException) as error:
            aside = directory.parent / f"damaged-{path.name}"
            path.replace(aside)
            metrics.lost(path.name.removeprefix(OUTBOX_PREFIX).split(SEPARATOR)[0], "damaged", 1)
            log.error("a part that waited for delivery to the log is damaged and set aside as %s: %s", aside, error)
            continue
        yield _Part(path, num_rows, path.stat().st_size)


def _by_hour(rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    hours = rows["timestamp"].cast(pa.int64()).to_numpy() // (HOUR * MICROS)
    for hour in np.unique(hours).tolist():
        mine = hours == hour
        yield hour, rows if mine.all() else rows.filter(pa.array(mine))
