"""One way to the files of a store or a log, whether it is a directory on this machine or lies behind a URL.

`open_folder` chooses the implementation. `local_path` serves the few callers for which the place matters: SQLite files
and bundles that are opened in place need a directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from feature_repo.storage.local_folder import LocalFolder
from feature_repo.storage.remote_folder import RemoteFolder


class Folder(Protocol):
    """Files by their path below a folder, with `/` between its parts; the folder need not exist.

    A file is replaced as a whole: a reader sees the old content or the new content.

    A folder behind a URL raises a StorageError when it cannot be read or written. A local folder raises the OSError of
    the disk, whose path and number `exit_with_sentence` needs for its advice.
    """

    @property
    def url(self) -> str:
        """The directory or URL, for error sentences."""

    def read(self, name: str) -> bytes | None:
        """The content of a file, None where there is no file of this name."""

    def holds(self, name: str) -> bool:
        """Whether there is a file of this name."""

    def names(self, folder: str = "") -> list[str]:
        """Names of the files and folders directly below a folder, sorted; none where it does not exist."""

    def sizes(self) -> dict[str, int]:
        """Bytes of every file at any depth, by its path; none where the folder does not exist."""

    def write(self, name: str, content: bytes) -> None:
        """Puts a file in place."""

    def move_in(self, path: Path, name: str) -> None:
        """Moves a local file into the folder; after an error it is still where it was."""

    def add(self, directory: Path, name: str, last: str) -> None:
        """Copies a local directory into a folder that does not exist yet.

        Args:
            directory: Its files are copied, at any depth.
            name: The new folder.
            last: A file of the directory: a reader that sees it sees all the others. After an error it is absent.
        """

    def download(self, folder: str, names: Sequence[str], directory: Path) -> None:
        """Copies files of a folder into a local directory, which is made. After an error some may have been copied."""

    def local(self, folder: str, names: Sequence[str]) -> AbstractContextManager[Path]:
        """A local directory with these files of a folder, for reading within the block."""

    def working_copy(self, suffix: str) -> AbstractContextManager[Path]:
        """A local directory with the files directly below the folder that end in a suffix, for reading and writing.

        After the block the folder holds what the block wrote. After an exception a folder behind a URL is as it was.
        """


def open_folder(url: str) -> Folder:
    """The folder at a directory or URL; nothing is read before the first call."""
    path = local_path(url)
    return RemoteFolder(url) if path is None else LocalFolder(path)


def local_path(url: str) -> Path | None:
    """The directory that is meant, None for a URL."""
    return None if "://" in url else Path(url)
