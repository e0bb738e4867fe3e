"""A common interface to the files of a store or a log, in a directory on this machine or behind a URL.

`open_folder` chooses the implementation. `local_path` is for the few callers that need a directory: SQLite files and
bundles that are opened in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from feature_repo.storage.local_folder import LocalFolder
from feature_repo.storage.remote_folder import RemoteFolder


class Folder(Protocol):
    """Files by their path below a folder, with `/` as separator; the folder need not exist.

    A file is replaced as a whole: a reader sees the old content or the new content.

    A folder behind a URL raises a StorageError if it cannot be read or written. A local folder raises the OSError of
    the disk, because `exit_with_sentence` needs its path and number for the advice.
    """

    @property
    def url(self) -> str:
        """The directory or URL, for error sentences."""

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if the file does not exist."""

    def holds(self, name: str) -> bool:
        """Whether the file exists."""

    def names(self, folder: str = "") -> list[str]:
        """Names of the files and folders directly below a folder, sorted; empty if the folder does not exist."""

    def sizes(self) -> dict[str, int]:
        """Size in bytes of every file at any depth, by its path; empty if the folder does not exist."""

    def write(self, name: str, content: bytes) -> None:
        """Writes a file."""

    def move_in(self, path: Path, name: str) -> None:
        """Moves a local file into the folder; after an error the local file still exists."""

    def add(self, directory: Path, name: str, last: str) -> None:
        """Copies a local directory into a new folder.

        Args:
            directory: Directory with the files to copy, at any depth.
            name: Path of the new folder.
            last: A file of the directory. A reader that sees it sees all other files. After an error it is absent.
        """

    def remove(self, folder: str, first: str) -> None:
        """Removes a folder with all its files; does nothing if it does not exist.

        Args:
            folder: Path of the folder.
            first: The file that is removed before all others, see `last` of `add`.
        """

    def download(self, folder: str, names: Sequence[str], directory: Path) -> None:
        """Copies files of a folder into a local directory, which is created. After an error some may be copied."""

    def local(self, folder: str, names: Sequence[str]) -> AbstractContextManager[Path]:
        """A local directory with these files of a folder, for reading within the block."""

    def working_copy(self, suffix: str) -> AbstractContextManager[Path]:
        """A local directory with the files directly below the folder that end in a suffix, for reading and writing.

        After the block the folder holds its changes. After an exception a folder behind a URL is unchanged.
        """


def open_folder(url: str) -> Folder:
    """The folder at a directory or URL; nothing is read before the first call."""
    path = local_path(url)
    return RemoteFolder(url) if path is None else LocalFolder(path)


def local_path(url: str) -> Path | None:
    """The directory that `url` names; None for a URL."""
    return None if "://" in url else Path(url)
