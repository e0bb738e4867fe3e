"""The tree of errors that kuberec raises on purpose, each with its exit code.

A message is a single sentence that says what is wrong, where, and what to do. Entry points print it without a traceback
and exit with `exit_code`; the transformer turns a `RequestError` into problem+json with its `status`. Callers need not
distinguish the errors of code 1; every other code belongs to a single class.

KuberecError              1  base of all
├── DatasetError          2  a dataset directory cannot be used (file, column or key, and row)
├── QualityError          3  the data gate stopped the run
├── NotReleased           4  evaluation refused the release
├── BundleError           5  a bundle is damaged, incomplete or of another feature set
├── FeatureStoreError     6  the online store cannot be read or filled
├── PredictorError        7  the predictor is down, too slow, or does not hold the bundle
├── SettingsError         8  an environment variable or parameter cannot be used
├── ServerFailed          9  a server on this machine did not become ready, or exited
├── StorageError         10  a disk is full, a folder may not be written, or too many files are open
├── Busy                 11  another process writes to the same report folder
├── LeaseTaken           12  another process holds the lease of the retraining
├── LeaseLost            13  the lease of the retraining expired while the process worked
├── ClusterError         14  Kubeflow Pipelines cannot be reached, or refuses a call
├── RunFailed             1  a step of a local run ended with this sentence
├── Stopped             130  a person interrupted a local run
├── ShopClientError       1  the transformer does not answer a simulated shop
└── RequestError          1  a request is malformed: names the field and why
    └── InvalidFields     1  pydantic refused fields of the request (`inference/api/problems.py`)
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

INTERRUPTED = 130  # the exit code of a shell: 128 + SIGINT
FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})
STORAGE_ERRORS = FULL_DISK | {errno.EROFS, errno.EACCES, errno.EPERM}
# How libraries report a full disk: the C library's texts, SQLite's, DuckDB's if it cannot spill, and numpy's.
FULL_DISK_TEXT = re.compile(
    r"No space left on device|Disk quota exceeded|database or disk is full|max_temp_directory_size"
    r"|\d+ requested and \d+ written",
    re.IGNORECASE,
)
MAKE_ROOM = "make room on the disk or open the folder, and run the same command again"
RAISE_LIMIT = "raise the limit of open files (`ulimit -n`), and run the same command again"


class KuberecError(Exception):
    """Base of every error raised on purpose; `str(error)` is a sentence that a reader without context can act on."""

    exit_code = 1


class DatasetError(KuberecError):
    """The dataset directory cannot be used."""

    exit_code = 2


class QualityError(KuberecError):
    """The share of clean rows is below the dataset's minimum, or statistics are anomalous."""

    exit_code = 3


class NotReleased(KuberecError):
    """The release gate refused the new bundle; the served bundle is unchanged."""

    exit_code = 4


class BundleError(KuberecError):
    """A bundle is damaged, incomplete, or made for another feature set."""

    exit_code = 5


class FeatureStoreError(KuberecError):
    """The online feature store cannot be read or filled."""

    exit_code = 6


class PredictorError(KuberecError):
    """The predictor gave no usable answer in time."""

    exit_code = 7


class SettingsError(KuberecError):
    """A setting from the environment or the command line cannot be used."""

    exit_code = 8


class ServerFailed(KuberecError):
    """A server on this machine did not become ready, or exited; the message names its log."""

    exit_code = 9


class StorageError(KuberecError):
    """Files cannot be written: the disk is full, the folder is not writable, or too many files are open."""

    exit_code = 10


class Busy(KuberecError):
    """Another process writes to the same report folder."""

    exit_code = 11


class LeaseTaken(KuberecError):
    """Another process holds the lease; the message names the holder and the time that is left."""

    exit_code = 12


class LeaseLost(KuberecError):
    """The lease could not be renewed in time: another process may retrain by now."""

    exit_code = 13


class ClusterError(KuberecError):
    """Kubeflow Pipelines cannot be reached, or refuses a call."""

    exit_code = 14


class RunFailed(KuberecError):
    """A step of a local run ended with this sentence.

    Args:
        sentence: The step's own error sentence.
        step: Name of the step.
    """

    exit_code = 1

    def __init__(self, sentence: str, step: str | None = None) -> None:
        super().__init__(sentence)
        self.step = step


class Stopped(KuberecError):
    """A person interrupted a local run."""

    exit_code = INTERRUPTED


class ShopClientError(KuberecError):
    """The transformer does not answer a simulated shop as it should; the message names the call."""

    exit_code = 1


class RequestError(KuberecError):
    """The client has to change its request.

    Args:
        detail: One sentence naming the field and why it is refused.
        field: The invalid parameter or body field, if there is one.
        status: HTTP status, 4xx.
    """

    exit_code = 1

    def __init__(self, detail: str, *, field: str | None = None, status: int = 422) -> None:
        super().__init__(detail)
        self.field = field
        self.status = status


@contextmanager
def exit_with_sentence() -> Iterator[None]:
    """Ends the process with a single sentence and the error's exit code, without a traceback.

    Every command and pipeline component runs its work inside this context. A full disk, a closed folder and an
    interrupt end the process in the same way. Any other exception is a defect and keeps its traceback.
    """
    try:
        yield
    except Exception as error:
        storage = storage_error(error)
        if storage is not None:
            _exit(storage)
        if not isinstance(error, KuberecError):
            raise
        _exit(error)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr, flush=True)
        raise SystemExit(INTERRUPTED) from None


def storage_error(error: BaseException) -> StorageError | None:
    """The StorageError of an exception; None if it has another cause.

    A full disk is found behind any exception, because libraries report it as text, and our errors may be raised from
    it. A closed folder is found only in an OSError that no code translated.
    """
    if isinstance(error, StorageError):
        return error
    if isinstance(error, OSError):
        where = f"{error.filename2 or error.filename}: " if error.filename else ""
        if error.errno in STORAGE_ERRORS:
            return StorageError(f"{where}{os.strerror(error.errno)}; {MAKE_ROOM}.")
        if error.errno in (errno.EMFILE, errno.ENFILE):
            return StorageError(f"{where}{os.strerror(error.errno)}; {RAISE_LIMIT}.")
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "errno", None) in FULL_DISK or is_full_disk(str(cause)):
            said = str(error).removesuffix(".") if isinstance(error, KuberecError) else os.strerror(errno.ENOSPC)
            # The sentence of a failed step has the advice already.
            return StorageError(f"{said}." if "make room" in said else f"{said}; {MAKE_ROOM}.")
        cause = cause.__cause__
    return None


def is_full_disk(text: str) -> bool:
    """Whether the text of an error reports a full disk."""
    return FULL_DISK_TEXT.search(text) is not None


def _exit(error: KuberecError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr, flush=True)
    raise SystemExit(error.exit_code) from None
