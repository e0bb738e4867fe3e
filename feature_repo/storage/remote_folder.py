"""A folder behind a URL (s3://, through fsspec): reads, writes and moves files, and describes failures in a sentence.

The module defines time limits, retries and the meaning of errors. Listings are not cached, so that a reader sees what
another process has just written. Endpoint and credentials come only from the environment, by their usual names
(AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ...). The module does not validate content.
"""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from http.client import IncompleteRead
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from feature_repo.errors import StorageError
from feature_repo.storage.files import list_files

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0  # without a received byte
# s3fs tries a failed call RETRIES times, and botocore each of these CALL_ATTEMPTS times. A server that cannot be
# reached costs seconds, a server that hangs costs under a minute.
RETRIES = 2
CALL_ATTEMPTS = 2
MAX_QUOTED = 300

T = TypeVar("T")


class RemoteFolder:
    """Files below a URL, see `Folder`; the server is not contacted before the first call.

    Args:
        url: URL such as s3://bucket/folder; the bucket must exist, the folder need not.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if the file does not exist.

        Raises:
            StorageError: The folder cannot be read.
        """
        return self._ask(lambda: bytes(self._files.cat_file(self._path(name))))

    def holds(self, name: str) -> bool:
        """Whether the file exists.

        Raises:
            StorageError: The folder cannot be read.
        """
        found = self._ask(lambda: self._files.info(self._path(name)))
        return found is not None and found["type"] == "file"

    def names(self, folder: str = "") -> list[str]:
        """Names of the files and folders directly below a folder, sorted; empty if the folder does not exist.

        Raises:
            StorageError: The folder cannot be read.
        """
        paths = self._ask(lambda: self._files.ls(self._path(folder), detail=False)) or []
        return sorted(posixpath.basename(str(path).rstrip("/")) for path in paths)

    def sizes(self) -> dict[str, int]:
        """Size in bytes of every file at any depth, by its path below the folder; empty if the folder does not exist.

        Raises:
            StorageError: The folder cannot be read.
        """
        return {name: int(entry["size"]) for name, entry in self._entries().items()}

    def versions(self) -> dict[str, str]:
        """Size and entity tag of every file at any depth, by its path; a changed file has another version.

        Raises:
            StorageError: The folder cannot be read.
        """
        return {name: f"{entry['size']} {entry.get('ETag', '')}" for name, entry in self._entries().items()}

    def write(self, name: str, content: bytes) -> None:
        """Writes a file as a whole: a reader sees the old or the new content.

        Raises:
            StorageError: The file cannot be written.
        """
        self._tell(lambda: self._files.pipe_file(self._path(name), content))

    def upload(self, directory: Path, names: Sequence[str], folder: str) -> None:
        """Copies files of a directory into a folder concurrently, in no particular order.

        Raises:
            StorageError: A file cannot be written; other files may have been written.
        """
        sources = [str(directory / name) for name in names]
        targets = [self._path(posixpath.join(folder, name)) for name in names]
        self._tell(lambda: self._files.put(sources, targets))

    def download(self, folder: str, names: Sequence[str], directory: Path) -> None:
        """Copies files of a folder into a directory concurrently.

        Raises:
            StorageError: A file is missing or cannot be read; other files may have been copied.
        """
        sources = [self._path(posixpath.join(folder, name)) for name in names]
        targets = [str(directory / name) for name in names]
        for target in targets:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
        self._tell(lambda: self._files.get(sources, targets))

    def move_in(self, path: Path, name: str) -> None:
        """Moves a local file into the folder.

        Raises:
            StorageError: The file cannot be written.
            OSError: The local file cannot be read.
        """
        self.write(name, path.read_bytes())
        path.unlink()

    def add(self, directory: Path, name: str, last: str) -> None:
        """Copies a local directory into a folder, the file `last` after all others.

        Raises:
            StorageError: A file cannot be written; other files may have been written, `last` is absent.
        """
        self.upload(directory, [file for file in list_files(directory) if file != last], name)
        self.upload(directory, [last], name)

    def remove(self, folder: str, first: str) -> None:
        """Removes all files of a folder, the file `first` before all others.

        Raises:
            StorageError: A file cannot be removed; others may be removed.
        """
        for name in (posixpath.join(folder, first), folder):
            self._ask(lambda name=name: self._files.rm(self._path(name), recursive=True))  # type: ignore[misc]

    @contextmanager
    def local(self, folder: str, names: Sequence[str]) -> Iterator[Path]:
        """A temporary local directory with these files of a folder.

        Raises:
            StorageError: A file is missing or cannot be read.
        """
        with tempfile.TemporaryDirectory(prefix="kuberec-") as scratch:
            copy = Path(scratch, folder)  # so that errors about a file name its path below the folder
            copy.mkdir(parents=True, exist_ok=True)
            if names:
                self.download(folder, names, copy)
            yield copy

    @contextmanager
    def working_copy(self, suffix: str) -> Iterator[Path]:
        """A temporary local directory with the files that end in a suffix; changed files are written back.

        Raises:
            StorageError: The folder cannot be read or written.
        """
        with self.local("", [name for name in self.names() if name.endswith(suffix)]) as copy:
            before = {path.name: path.read_bytes() for path in copy.iterdir()}
            yield copy
            for path in sorted(copy.glob(f"*{suffix}")):
                content = path.read_bytes()
                if content != before.get(path.name):  # keeps concurrent edits of other files
                    self.write(path.name, content)

    def _entries(self) -> dict[str, dict[str, Any]]:
        """What the server states about every file at any depth, by its path below the folder."""
        found = self._ask(lambda: self._files.find(self._path(""), detail=True)) or {}
        root = self._path("").strip("/")
        return {str(path).strip("/").removeprefix(f"{root}/"): entry for path, entry in found.items()}

    def _ask(self, work: Callable[[], T]) -> T | None:
        """The result of `work`; None if a file does not exist."""
        try:
            return work()
        except self._failures as error:
            if isinstance(error, FileNotFoundError) and _code(error) != "NoSuchBucket":
                return None
            raise self._worded(error) from error

    def _tell(self, work: Callable[[], object]) -> None:
        try:
            work()
        except self._failures as error:
            raise self._worded(error) from error

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        # A separate instance, because fsspec's shared instance keeps the credentials of its creation.
        options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
        if self._is_s3:
            options["config_kwargs"] = {
                "connect_timeout": CONNECT_SECONDS,
                "read_timeout": READ_SECONDS,
                "retries": {"mode": "standard", "total_max_attempts": CALL_ATTEMPTS},
            }
        try:
            files, root = fsspec.core.url_to_fs(self.url, **options)
        except (ImportError, ValueError) as error:
            raise StorageError(f"{self.url} cannot be opened: {error}.") from error
        if self._is_s3:
            if not root:
                raise StorageError(f"{self.url} names no bucket: write s3://bucket/folder.")
            files.retries = RETRIES
        return files, str(root)

    @property
    def _files(self) -> Any:
        return self._opened[0]

    def _path(self, name: str) -> str:
        return posixpath.join(self._opened[1], name) if name else self._opened[1]

    @property
    def _is_s3(self) -> bool:
        return self.url.startswith(("s3://", "s3a://"))

    @property
    def _failures(self) -> tuple[type[Exception], ...]:
        """Exceptions of a file system if a server cannot be reached, refuses or stops, or a disk fails."""
        if not self._is_s3:
            return (OSError,)
        from aiohttp import ClientError  # only for S3, because these imports are slow
        from botocore.exceptions import BotoCoreError
        from botocore.parsers import ResponseParserError

        # botocore and s3fs raise ValueError for invalid addresses and names.
        return (OSError, BotoCoreError, ResponseParserError, ClientError, IncompleteRead, ValueError)

    def _worded(self, error: Exception) -> StorageError:
        said = " ".join(str(error).split()).rstrip(".")[:MAX_QUOTED] or type(error).__name__
        if _code(error) == "NoSuchBucket":
            said = "the bucket does not exist: create it, or name another"
        elif isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
            said = f"access is refused ({said}): check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do"
        elif not isinstance(error, OSError):
            said = f"{said}: check the address, AWS_ENDPOINT_URL and the server"
        return StorageError(f"{self.url}: {said}.")


def _code(error: Exception) -> str:
    """The S3 error code behind an exception of s3fs, "" if there is none."""
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
