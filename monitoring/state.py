"""Small files that the jobs of one dataset leave for each other: `<store>/monitoring/`, local or behind a URL.

Owns where they lie and that each is replaced as a whole. Refuses nothing about content: whoever owns a file reads it.
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
        store: The dataset's serving store, a directory or URL.
    """

    store: str

    @property
    def url(self) -> str:
        """The folder itself."""
        return f"{self.store.rstrip('/')}/{FOLDER}"

    def read(self, name: str) -> bytes | None:
        """The content of a file, None where there is none.

        Raises:
            StorageError: It cannot be read.
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
        """Puts a file in place; a reader sees the old one or the new one.

        Args:
            name: Path below the folder.
            content: All of it.

        Raises:
            StorageError: It cannot be written.
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
