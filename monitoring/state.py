"""Small files that the jobs of one dataset share, in `<store>/monitoring/`, local or behind a URL.

A file is replaced as a whole. The module that owns a file parses its content.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from feature_repo.errors import StorageError
from feature_repo.storage.folder import Folder, open_folder

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
        try:
            return self._folder.read(name)
        except OSError as error:
            raise StorageError(
                f"The file {self.url}/{name} cannot be read ({error.strerror}): check the store."
            ) from error

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically: a reader sees the old content or the new content.

        Args:
            name: Path relative to the folder.
            content: The whole content.

        Raises:
            StorageError: The file cannot be written.
        """
        try:
            self._folder.write(name, content)
        except OSError as error:
            raise StorageError(
                f"The file {self.url}/{name} cannot be written ({error.strerror}): check the store."
            ) from error

    @cached_property
    def _folder(self) -> Folder:
        return open_folder(self.url)
