"""A folder in a directory of this machine: files are durable before they appear, and appear complete."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from feature_repo.errors import StorageError
from feature_repo.storage.files import atomic_write, list_files, sync_tree


class LocalFolder:
    """Files below a directory, see `Folder`.

    Args:
        path: The directory, which need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def url(self) -> str:
        return str(self._path)

    def read(self, name: str) -> bytes | None:
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            return None

    def holds(self, name: str) -> bool:
        return (self._path / name).is_file()

    def names(self, folder: str = "") -> list[str]:
        path = self._path / folder
        if path.is_symlink() and not path.exists():  # not an empty folder: its files would be lost without a word
            raise StorageError(f"{path} is a link to {path.readlink()}, which does not exist: restore it or remove it.")
        return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []

    def sizes(self) -> dict[str, int]:
        return {name: (self._path / name).stat().st_size for name in list_files(self._path)}

    def write(self, name: str, content: bytes) -> None:
        with atomic_write(self._path / name) as temporary:
            temporary.write_bytes(content)

    def move_in(self, path: Path, name: str) -> None:
        """See `Folder`. A file on the same disk is renamed, not copied, because its writer has flushed it."""
        target = self._path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with atomic_write(target) as temporary:
                shutil.copyfile(path, temporary)
            path.unlink()

    def add(self, directory: Path, name: str, last: str) -> None:  # noqa: ARG002 - all files appear at the same time
        target = self._path / name
        building = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
        try:
            for file in list_files(directory):
                _copy(directory / file, building / file)
            sync_tree(building)
            building.rename(target)
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def remove(self, folder: str, first: str) -> None:
        path = self._path / folder
        (path / first).unlink(missing_ok=True)
        if path.is_dir():
            shutil.rmtree(path)

    def download(self, folder: str, names: Sequence[str], directory: Path) -> None:
        for name in names:
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._path / folder / name, target)

    @contextmanager
    def local(self, folder: str, names: Sequence[str]) -> Iterator[Path]:  # noqa: ARG002 - it holds them already
        yield self._path / folder

    @contextmanager
    def working_copy(self, suffix: str) -> Iterator[Path]:  # noqa: ARG002 - the folder itself
        yield self._path


def _copy(source: Path, target: Path) -> None:
    """Copies a file. Unlike `shutil.copytree`, an error has the number of the disk's error and names the file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copy(source, target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(source)) from error
