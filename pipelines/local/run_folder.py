"""One command at a time in a build folder: two that write the same reports would spoil each other's.

Owns the fresh report folder of a command and the lock beside it, which the system frees however the process ends.
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
    """An empty folder that no other process of ours writes to until the block is left; what was in it is removed.

    Args:
        path: The folder; the lock is `<path>.lock`.

    Raises:
        Busy: Another process has it.
        StorageError: What should hold it is a file.
        OSError: The folder cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise StorageError(f"{path.parent} is no folder: name one in KUBEREC_BUILD") from error
    with path.with_suffix(".lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise Busy(
                f"process {lock.read().strip()} is writing to {path}: wait until it has ended, or set KUBEREC_BUILD to "
                "another folder for this one"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        if path.exists():
            shutil.rmtree(path)
        path.mkdir()
        yield path
