"""Lists the Parquet files of a table, and refuses every entry whose rows would be lost without a word.

A table is `<table>.parquet` or `<table>/`, either a file or a folder of files at any depth. Links are followed. A
broken link, a file of another format, a folder without a Parquet file, a hidden Parquet file, a folder of Delta,
Iceberg or Hudi, and a table under a similar name raise `DatasetError`, which names the entry and says what to do.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from components.ingest.layout.entries import (
    LINK_BYTES,
    PARQUET_SUFFIXES,
    SUFFIX,
    begins_as_parquet,
    format_in_words,
    is_bookkeeping,
    is_hidden,
    is_lookalike,
    is_note,
    written_link,
)
from components.ingest.layout.table_formats import foreign_format
from feature_repo.dataset.contract import TABLES
from feature_repo.errors import DatasetError


@dataclass(frozen=True)
class TableFile:
    """A Parquet file of a table.

    Attributes:
        name: Path below the dataset or log. The order of files, hive folders and the fingerprint follow it.
        path: The file to open. It differs from the name only below a link that a copy has turned into text.
    """

    name: PurePosixPath
    path: Path


def find_files(directory: Path, table: str, *, served: bool = False) -> tuple[Path, list[TableFile]]:
    """The path of a table and its Parquet files in order of their names; no files if the table is absent.

    Args:
        directory: The dataset, or the log.
        table: interactions, items, users or impressions.
        served: Whether servers write the folder. Hidden files are then unfinished parts, and it may be empty.

    Raises:
        DatasetError: An entry cannot be read, or its rows would be lost.
    """
    found = [path for path in (directory / f"{table}{SUFFIX}", directory / table) if os.path.lexists(path)]
    if len(found) > 1:
        raise DatasetError(f"{directory} holds both {table}{SUFFIX} and {table}/; keep one of them.")
    try:
        if not served and directory.is_dir():
            _check_lookalikes(directory, table, is_there=bool(found))
        if not found:
            return directory / f"{table}{SUFFIX}", []
        return found[0], _TableWalk(served).files(found[0])
    except OSError as error:
        raise DatasetError(f"{error.filename} cannot be read: {error.strerror}.") from error


def unread_entries(directory: Path) -> list[str]:
    """Names next to the tables that look like a table, or are Parquet, and are not read."""
    tables = {name for table in TABLES for name in (table, f"{table}{SUFFIX}")}
    names = sorted(set(os.listdir(directory)) - tables)
    return [
        name
        for name in names
        if not is_hidden(name)
        and not is_note(name, names)
        and (name.lower().endswith(PARQUET_SUFFIXES) or any(is_lookalike(name, table) for table in TABLES))
    ]


class _TableWalk:
    """One walk over the folders of a table.

    Args:
        served: See `find_files`.
    """

    def __init__(self, served: bool) -> None:
        self._served = served
        self._hidden: list[Path] = []  # Parquet files under hidden names
        self._has_links = False

    def files(self, path: Path) -> list[TableFile]:
        """All files of the table at a path."""
        found = sorted(self._below(path, PurePosixPath(path.name)), key=lambda file: file.name.parts)
        reached: dict[Path, TableFile] = {}
        if self._has_links:
            for file in found:
                other = reached.setdefault(file.path.resolve(), file)
                if other is not file:
                    raise DatasetError(
                        f"{path.parent / other.name} and {path.parent / file.name} are the same file, so that its "
                        "rows would count twice; remove one of them."
                    )
        for hidden in self._hidden:
            if hidden.resolve() not in reached:
                raise DatasetError(
                    f"{hidden} is hidden by a name that begins with a dot or underscore, so that its rows would be "
                    "lost: rename it, or move it out of the table."
                )
        if not found and not self._served:
            raise DatasetError(f"{path} holds no Parquet file: put the parts of the table there, or remove the folder.")
        return found

    def _below(self, path: Path, name: PurePosixPath, above: tuple[Path, ...] = ()) -> Iterator[TableFile]:
        """Files at a path; `above` are the folders on the way to it, without links."""
        _check_name(path)
        path, status = self._followed(path)
        if stat.S_ISDIR(status.st_mode):
            yield from self._inside(path, name, above)
        elif not stat.S_ISREG(status.st_mode):
            raise DatasetError(f"{path} is neither a file nor a folder: move it out of the table.")
        elif not above or name.suffix == SUFFIX:  # the table itself needs no suffix
            yield TableFile(name, path)
        elif begins_as_parquet(path):
            raise DatasetError(f"{path} is a Parquet file without the suffix {SUFFIX}: add it, or move the file away.")
        elif status.st_size or path.suffix:
            raise DatasetError(
                f"{path} is {format_in_words(path)}, so that its rows would be lost: "
                "export it as Parquet, or move it out of the table."
            )

    def _inside(self, path: Path, name: PurePosixPath, above: tuple[Path, ...]) -> Iterator[TableFile]:
        real = path.resolve()
        if real in above:
            raise DatasetError(f"{path} is a link to {real}, a folder that holds it: remove the link.")
        _check_format(path)
        names = os.listdir(path)
        for each in names:
            if not is_hidden(each):
                if not is_note(each, names):
                    yield from self._below(path / each, name / each, (*above, real))
            elif not self._served and not is_bookkeeping(each):
                self._hidden += _parquet_below(path / each)

    def _followed(self, path: Path) -> tuple[Path, os.stat_result]:
        """The path to open, and its status; a link is followed, also one that a copy has turned into text."""
        status = path.lstat()
        is_link = stat.S_ISLNK(status.st_mode)
        target: Path | None = None
        if is_link:
            target = path.parent / os.readlink(path)
        elif stat.S_ISREG(status.st_mode) and status.st_size <= LINK_BYTES:
            target = written_link(path)
        if target is None:
            return path, status
        self._has_links = True
        try:
            status = target.stat()
        except OSError as error:
            raise DatasetError(
                f"{path} is a link to {os.path.normpath(target)}, which cannot be read ({error.strerror}): restore the "
                "file there, or remove the link."
            ) from error
        for folder in target.resolve().parents:
            _check_format(folder)
        return (path if is_link else target.resolve()), status


def _check_lookalikes(directory: Path, table: str, *, is_there: bool) -> None:
    """Refuses entries that are likely meant as the table; next to the table itself only those that hold Parquet."""
    names = sorted(os.listdir(directory))
    for name in names:
        path = directory / name
        if not is_lookalike(name, table) or is_bookkeeping(name) or is_note(name, names):
            continue
        is_empty = path.is_dir() and not os.listdir(path)
        is_parquet = begins_as_parquet(path) if path.is_file() else bool(_parquet_below(path))
        if is_parquet or not (is_there or is_empty):
            problem = f"next to {table}{SUFFIX}" if is_there else f"and {table} is absent"
            raise DatasetError(
                f"{path} looks like the table {table}, {problem}: name it {table}{SUFFIX} if it is Parquet, export it "
                f"as {table}{SUFFIX} if not, or move it away."
            )


def _parquet_below(path: Path) -> list[Path]:
    """Parquet files at a path, hidden or not, by their suffixes and first bytes."""
    inside = path.rglob("*") if path.is_dir() else [path]
    return [
        file
        for file in sorted(inside)
        if file.name.lower().endswith(PARQUET_SUFFIXES) and file.is_file() and begins_as_parquet(file)
    ]


def _check_format(folder: Path) -> None:
    found = foreign_format(folder)
    if found is not None:
        raise DatasetError(
            f"{folder} is {found.name}, whose files also hold deleted rows: export its current rows as plain Parquet, "
            f"and move the folder away; the command is: {found.command}."
        )


def _check_name(path: Path) -> None:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in path.name):
        raise DatasetError(f"{path.parent} holds {path.name!a}, a name with characters outside of text: rename it.")
