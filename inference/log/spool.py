"""A process's folder in a spool directory, where rows wait on their way to the log.

Several processes may share a spool. Each process locks its folder while it lives. A starting process takes over the
files in folders whose owners have ended, and never touches a locked folder.

    <spool>/lock                     held while folders are created or taken over
    <spool>/worker-<id>/lock         held by the owner of the folder
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
WAIT_SECONDS = 5.0  # for other processes to open the spool, which moves a few files
log = logging.getLogger("kuberec")


class Spool:
    """The locked folder of this process; see `open`.

    Attributes:
        worker: Unique name of this process.
        directory: The folder.
    """

    def __init__(self, worker: str, directory: Path, lock: int) -> None:
        self.worker = worker
        self.directory = directory
        self._lock = lock

    @classmethod
    def open(cls, spool: Path) -> Spool:
        """Creates a folder for this process, and moves the files of ended processes into it.

        Files that cannot be taken over are reported in the log and stay where they are; the next process tries again.

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
            raise StorageError(
                f"The log's spool {spool} cannot be written ({error}): fix its permissions, or free disk space."
            ) from error
        return cls(worker, mine, lock)

    def close(self) -> None:
        """Releases the folder, and removes it if no rows wait in it."""
        if not list(self.directory.glob(f"{JOURNAL_PREFIX}*")) + list(self.directory.glob(f"{OUTBOX_PREFIX}*")):
            shutil.rmtree(self.directory, ignore_errors=True)
        os.close(self._lock)


def _made(folder: Path) -> int:
    """Creates a folder durably and returns the lock on it; removes the folder if that fails."""
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
        if other.exists():  # else its owner has just ended and removed it
            log.error("The files that an ended process left in %s cannot be taken over: %s.", other, error)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Holds a lock for a block; times out, so that a hanging process cannot keep this process from serving."""
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
    """A lock on a file; None if a living process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
