"""Where a dataset is: a directory of this machine, or a folder behind a URL such as s3://bucket/folder.

A dataset behind a URL is read through a local copy, because its tables are opened several times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from feature_repo.dataset.config import CONFIG_FILE, DatasetConfig
from feature_repo.dataset.contract import TABLES
from feature_repo.errors import DatasetError
from feature_repo.storage.folder import local_path
from feature_repo.storage.remote_folder import RemoteFolder

Place = Path | str


def dataset_place(text: str) -> Place:
    """The place that a person names on a command line: a path, or a URL without a slash at its end.

    `~` is the home directory, which a quoted argument keeps.
    """
    path = local_path(text)
    return text.rstrip("/") if path is None else path.expanduser()


def absolute(place: Place) -> str:
    """The place as processes with another working directory find it."""
    path = local_path(str(place))
    return str(place) if path is None else str(path.resolve())


def load_config(place: Place) -> DatasetConfig:
    """`dataset.toml` of a dataset.

    Raises:
        DatasetError: There is no dataset, or the file is invalid.
        StorageError: The URL cannot be read.
    """
    with local_copy(place, (CONFIG_FILE,)) as directory:
        return DatasetConfig.load(directory)


@contextmanager
def local_copy(place: Place, names: Sequence[str] | None = None) -> Iterator[Path]:
    """The directory of a dataset, or a temporary copy of one behind a URL.

    Args:
        place: The dataset.
        names: The files that a copy needs; by default `dataset.toml` and every file of the tables.

    Raises:
        DatasetError: The URL has no dataset. Errors within the block name the URL instead of the copy.
        StorageError: The URL cannot be read.
    """
    path = local_path(str(place))
    if path is not None:
        yield path
        return
    url = str(place)
    folder = RemoteFolder(url)
    if not folder.holds(CONFIG_FILE):
        raise DatasetError(f"{url}/{CONFIG_FILE} is missing: name the folder that holds {CONFIG_FILE}.")
    with folder.local("", sorted(_of_dataset(folder.versions())) if names is None else names) as copy:
        try:
            yield copy
        except DatasetError as error:
            raise DatasetError(str(error).replace(str(copy), url)) from error


def remote_fingerprint(url: str) -> str:
    """Hex sha256 over name and version of every file of a dataset behind a URL; nothing is downloaded.

    Raises:
        StorageError: The URL cannot be read.
    """
    versions = _of_dataset(RemoteFolder(url).versions())
    lines = "".join(f"{name}\0{version}\n" for name, version in sorted(versions.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _of_dataset(versions: Mapping[str, str]) -> dict[str, str]:
    """`dataset.toml`, and files at the places of tables with any suffix: ingest refuses what it cannot read."""
    tables = set(TABLES)
    return {
        name: version
        for name, version in versions.items()
        if name == CONFIG_FILE or name.split("/")[0].split(".")[0].lower() in tables
    }
