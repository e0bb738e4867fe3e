"""The report folder of a command, locked so that two processes cannot write the same reports.

The lock is a `flock`, which the system releases when the process exits for any reason.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from feature_repo.errors import Busy, StorageError


@contextlib.contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Empties a folder and locks it against other kuberec processes until the block is left.

    Args:
        path: The folder; the lock is `<path>.lock`.

    Raises:
        Busy: Another process holds the lock.
        StorageError: The parent of the folder is a file.
        OSError: The folder cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise StorageError(f"The path {path.parent} is not a folder: set KUBEREC_BUILD to a folder.") from error
    with path.with_suffix(".lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise Busy(
                f"The process {lock.read().strip()} is writing to {path}: wait until it has ended, or set "
                "KUBEREC_BUILD to another folder."
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        if path.exists():
            shutil.rmtree(path)
        path.mkdir()
        yield path
