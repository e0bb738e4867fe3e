"""Small files that the jobs of one dataset share, in `<store>/monitoring/`, local or behind a URL.

A file is replaced as a whole. The module that owns a file parses its content.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from feature_repo.errors import StorageError
from feature_repo.storage.files import atomic_write
from feature_repo.storage.remote_folder import RemoteFolder

FOLDER = "monitoring"


@dataclass(frozen=True)
class StateFolder:
    """The monitoring files of one dataset.

    Attributes:
        store: Serving store of the dataset, a directory or URL.
    """

    store: str

    @property
    def url(self) -> str:
        """Path or URL of the folder."""
        return f"{self.store.rstrip('/')}/{FOLDER}"

    def read(self, name: str) -> bytes | None:
        """Read a file; None if it does not exist.

        Raises:
            StorageError: The file cannot be read.
        """
        if self._remote is not None:
            return self._remote.read(name)
        try:
            return (Path(self.url) / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{self.url}/{name} cannot be read: {error.strerror}.") from error

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically: a reader sees the old content or the new content.

        Args:
            name: Path relative to the folder.
            content: The whole content.

        Raises:
            StorageError: The file cannot be written.
        """
        if self._remote is not None:
            self._remote.write(name, content)
            return
        try:
            with atomic_write(Path(self.url) / name) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            raise StorageError(f"{self.url}/{name} cannot be written: {error.strerror}.") from error

    @cached_property
    def _remote(self) -> RemoteFolder | None:
        return RemoteFolder(self.url) if "://" in self.store else None
