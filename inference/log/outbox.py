"""Parts on their way to the log: written whole on the local disk first, then delivered, as often as it takes.

Owns that a part appears in the log as a whole and once, whatever dies in between, and that undelivered parts never fill
the disk: over a bound the oldest impressions are given up and counted; events never are. Refuses nothing about rows.
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
SEPARATOR = "@"  # stands for / in the names of waiting parts: the outbox has no folders to clear up
MICROS = 1_000_000
log = logging.getLogger("kuberec")


@dataclass(frozen=True, slots=True)
class _Part:
    path: Path
    num_rows: int
    num_bytes: int

    @property
    def name(self) -> str:
        """Its path below the log."""
        return self.path.name.removeprefix(OUTBOX_PREFIX).replace(SEPARATOR, "/")

    @property
    def table(self) -> str:
        return self.name.split("/")[0]


class Outbox:
    """Writes parts and delivers them; one thread may `put` while another delivers and gives up.

    Args:
        directory: This process's spool folder; parts that are in it already wait like new ones.
        log: A log's directory or s3:// URL.
        metrics: Counts rows delivered and lost.
        max_bytes: Bound on what waits.
    """

    def __init__(self, directory: Path, log: str, metrics: Metrics, *, max_bytes: int = MAX_WAITING_BYTES) -> None:
        self._directory = directory
        self._log = log
        self._folder = open_folder(log)
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._parts: dict[str, _Part] = {}
        self._num_rows = self._num_bytes = 0  # kept, since requests ask: an outage leaves tens of thousands of parts
        for part in _found(directory, metrics):
            self._add(part)

    @property
    def num_rows(self) -> int:
        """Rows that wait."""
        return self._num_rows

    @property
    def full(self) -> bool:
        """Whether more waits than may."""
        return self._num_bytes > self._max_bytes

    def put(self, table: str, rows: pa.Table, name: str) -> None:
        """Writes rows as one part for each of their hours; all of them or none.

        Args:
            table: impressions or interactions.
            rows: With a timestamp in every row.
            name: File name of the parts; a part of the same name and hour is replaced.

        Raises:
            OSError: The disk is full or closed.
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
        """Moves what waits into the log; a part that somebody else removed is lost, and counted.

        Raises:
            StorageError: The log cannot be written; the rest waits.
        """
        with self._lock:
            parts = list(self._parts.values())
        for part in parts:
            is_there = part.path.is_file()
            if is_there:
                self._move(part)
            with self._lock:
                if not part.path.exists():  # else it was made again meanwhile
                    self._drop(part.name)
            if is_there:
                self._metrics.logged(part.table, part.num_rows)
            else:
                self._metrics.lost(part.table, "damaged", part.num_rows)
                log.error("%s, which waited for the log, is not there any more", part.path)

    def give_up(self) -> None:
        """Removes the oldest impressions while more waits than may."""
        while self.full:
            with self._lock:
                part = next((part for part in self._parts.values() if part.table == IMPRESSIONS), None)
                if part is None:
                    return
                self._drop(part.name)
            part.path.unlink(missing_ok=True)
            self._metrics.lost(IMPRESSIONS, "spool_full", part.num_rows)

    def _add(self, part: _Part) -> None:
        """Notes a part that waits, in place of one of its name; the caller holds the lock."""
        self._drop(part.name)
        self._parts[part.name] = part
        self._num_rows += part.num_rows
        self._num_bytes += part.num_bytes

    def _drop(self, name: str) -> None:
        """Notes that no part of a name waits any more; the caller holds the lock."""
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
    """Parts that wait in a folder, oldest first; a damaged one, of a damaged disk, is set aside.

    How many rows it had cannot be told: it counts as one that is lost.
    """
    for path in sorted(directory.glob(f"{OUTBOX_PREFIX}*"), key=lambda path: path.stat().st_mtime):
        try:
            num_rows = pq.read_metadata(path).num_rows
        except (OSError, pa.ArrowException) as error:
            aside = directory.parent / f"damaged-{path.name}"
            path.replace(aside)
            metrics.lost(path.name.removeprefix(OUTBOX_PREFIX).split(SEPARATOR)[0], "damaged", 1)
            log.error("a part that waited for the log is damaged and set aside as %s: %s", aside, error)
            continue
        yield _Part(path, num_rows, path.stat().st_size)


def _by_hour(rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    hours = rows["timestamp"].cast(pa.int64()).to_numpy() // (HOUR * MICROS)
    for hour in np.unique(hours).tolist():
        mine = hours == hour
        yield hour, rows if mine.all() else rows.filter(pa.array(mine))
