"""A process's own folder in a spool directory, where rows wait on their way to the log.

Several processes may share a spool. Each holds a lock on its folder for as long as it lives, so that what a killed one
left is told from what a living one is working on, and is taken over by the next to start. Refuses to touch a folder
whose owner lives.

    <spool>/lock                     held while folders are made or taken over
    <spool>/worker-<id>/lock         held by the owner
    <spool>/worker-<id>/journal-*    events that are not in a part yet
    <spool>/worker-<id>/outbox-*     parts that are not in the log yet
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from feature_repo.errors import StorageError
from feature_repo.storage.files import sync_directory

LOCK = "lock"
JOURNAL_PREFIX = "journal-"
OUTBOX_PREFIX = "outbox-"
WAIT_SECONDS = 5.0  # for others to open the spool: they move a few files
log = logging.getLogger("kuberec")


class Spool:
    """This process's folder, made and locked; see `open`.

    Attributes:
        worker: Its name among all processes.
        directory: The folder.
    """

    def __init__(self, worker: str, directory: Path, lock: int) -> None:
        self.worker = worker
        self.directory = directory
        self._lock = lock

    @classmethod
    def open(cls, spool: Path) -> Spool:
        """Makes a folder of one's own, with everything that ended processes left in theirs.

        What cannot be taken over is told and left where it is, for the next process to try.

        Raises:
            StorageError: The spool cannot be written.
        """
        try:
            spool.mkdir(parents=True, exist_ok=True)
            with _held(spool / LOCK):
                worker = uuid4().hex[:12]
                mine = spool / f"worker-{worker}"
                lock = _made(mine)
                for other in sorted(spool.glob("worker-*")):
                    if other != mine:
                        _take_over(other, mine)
        except OSError as error:
            raise StorageError(f"The log's spool {spool} cannot be written: {error}; open it, or make room.") from error
        return cls(worker, mine, lock)

    def close(self) -> None:
        """Gives the folder up, and removes it where nothing waits in it."""
        if not list(self.directory.glob(f"{JOURNAL_PREFIX}*")) + list(self.directory.glob(f"{OUTBOX_PREFIX}*")):
            shutil.rmtree(self.directory, ignore_errors=True)
        os.close(self._lock)


def _made(folder: Path) -> int:
    """Makes a folder whose name is durable, and returns the lock on it; leaves none behind where that fails."""
    folder.mkdir()
    try:
        sync_directory(folder.parent)
        lock = _taken(folder / LOCK)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    assert lock is not None
    return lock


def _take_over(other: Path, mine: Path) -> None:
    try:
        lock = _taken(other / LOCK)
        if lock is None:
            return
        try:
            for prefix in (JOURNAL_PREFIX, OUTBOX_PREFIX):
                for path in sorted(other.glob(f"{prefix}*")):
                    path.replace(mine / path.name)
            shutil.rmtree(other)
        finally:
            os.close(lock)
    except OSError as error:
        if other.exists():  # else its owner has just ended, and left nothing
            log.error("what an ended process left in %s cannot be taken over: %s", other, error)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Holds a lock for a block; a process that hangs while it has it must not keep this one from serving."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (lock := _taken(path)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"another process has held {path} for {WAIT_SECONDS:g} s")
        time.sleep(0.01)
    try:
        yield
    finally:
        os.close(lock)


def _taken(path: Path) -> int | None:
    """A lock on a file, None where a living process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
