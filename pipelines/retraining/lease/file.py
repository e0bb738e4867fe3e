"""A lease as a file with holder and expiry, read and changed under flock; machines may share its folder."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_repo.errors import StorageError
from feature_repo.storage.files import write_text

LEASE_FILE = "lease.json"
LOCK_FILE = "lease.lock"


class _Held(BaseModel):
    """The content of `lease.json`: the holder, and when the lease expires without a renewal, unix seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: str
    until: float


class FileLease:
    """The lease file of a folder.

    Args:
        folder: Folder of the file; created if it does not exist.
        token: Identifies the process that takes the lease.
    """

    def __init__(self, folder: Path, token: str) -> None:
        self._folder, self._token = folder, token
        self._file = folder / LEASE_FILE

    def acquire(self, seconds: float) -> str | None:
        with self._locked():
            held = self._read()
            if held is not None and held.token != self._token and held.until > time.time():
                return f"{held.token} holds the lease for {held.until - time.time():.0f} s, or longer if it renews it"
            self._write(seconds)
        return None

    def extend(self, seconds: float) -> bool:
        with self._locked():
            held = self._read()
            if held is None or held.token != self._token:
                return False
            self._write(seconds)
        return True

    def release(self) -> None:
        with self._locked():
            held = self._read()
            if held is not None and held.token == self._token:
                self._file.unlink()

    def _read(self) -> _Held | None:
        try:
            return _Held.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise StorageError(f"The file {self._file} is not a lease: remove it if no retraining runs.") from error

    def _write(self, seconds: float) -> None:
        write_text(self._file, _Held(token=self._token, until=time.time() + seconds).model_dump_json() + "\n")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / LOCK_FILE).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise StorageError(
                f"The lease in {self._folder} cannot be changed ({error.strerror}): check the folder."
            ) from error
