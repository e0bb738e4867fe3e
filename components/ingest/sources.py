"""Where a dataset's tables lie and what their files hold, before a value is read.

Owns finding files (one file, or a directory of files with hive folders), their schemas and the content fingerprint.
Refuses files that are no Parquet, unreadable or ambiguous, in one sentence naming the file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.contract import TABLES
from feature_repo.dataset import CONFIG_FILE
from feature_repo.errors import DatasetError
from feature_repo.files import sha256
from feature_repo.progress import track

SUFFIX = ".parquet"
MAGIC = b"PAR1"
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
RESERVED_SOURCE_COLUMNS = ("filename", "file_row_number", "file_index")


@dataclass(frozen=True)
class SourceFile:
    """A file of a table.

    Attributes:
        path: Where it is.
        first_row: Place of its first row in the table, counted from 0.
        folders: Values of the group's hive folders, None where a folder says there is none.
    """

    path: Path
    first_row: int
    folders: tuple[str | None, ...]


@dataclass(frozen=True)
class FileGroup:
    """Files of a table with the same columns, types and hive folders.

    Attributes:
        files: The files.
        columns: Column name -> Arrow type.
        hive_keys: Names of `key=value` folders that are no column of the files.
    """

    files: tuple[SourceFile, ...]
    columns: dict[str, pa.DataType]
    hive_keys: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every name a value can be read from."""
        return (*self.columns, *self.hive_keys)


@dataclass(frozen=True)
class Source:
    """A table as its owner brought it.

    Attributes:
        table: interactions, items, users or impressions.
        path: The file or directory.
        groups: Its files; none where the table is absent.
        num_rows: Rows in all of them.
    """

    table: str
    path: Path
    groups: tuple[FileGroup, ...]
    num_rows: int

    @cached_property
    def names(self) -> frozenset[str]:
        """Names found in some file."""
        return frozenset(name for group in self.groups for name in group.names)


def find_files(directory: Path, table: str) -> tuple[Path, list[Path]]:
    """The path of a table and its Parquet files in path order, none where it is absent.

    A table is `<table>.parquet` or `<table>/`, either a file or a directory. Files and folders whose names begin with
    a dot or an underscore are passed over, as other readers do, and so are files that are no Parquet.

    Raises:
        DatasetError: Both are there, or a Parquet file that is not named so, whose rows would be lost.
    """
    found = [path for path in (directory / f"{table}.parquet", directory / table) if path.exists()]
    if len(found) > 1:
        raise DatasetError(f"{directory} holds both {table}.parquet and {table}/; keep one of them.")
    if not found:
        return directory / f"{table}.parquet", []
    path = found[0]
    if path.is_file():
        return path, [path]
    inside = sorted(file for file in path.rglob("*") if file.is_file() and not _is_hidden(file.relative_to(path)))
    for file in inside:
        if file.suffix != SUFFIX and _begins_as_parquet(file):
            raise DatasetError(f"{file} is a Parquet file but not named so: end its name in {SUFFIX}, or take it away.")
    return path, [file for file in inside if file.suffix == SUFFIX]


def read_source(directory: Path, table: str) -> Source:
    """Reads the footers of a table's files.

    Raises:
        DatasetError: A file is no complete Parquet file or its columns cannot be told apart.
    """
    path, files = find_files(directory, table)
    groups: dict[tuple[object, ...], tuple[list[SourceFile], dict[str, pa.DataType], tuple[str, ...]]] = {}
    num_rows = 0
    for file in track(files, f"reading the footers of {table}"):
        schema, rows = _read_footer(file)
        _check_names(file, schema.names)
        columns = dict(zip(schema.names, schema.types, strict=True))
        folders = _hive_folders(file.relative_to(path).parts[:-1] if file != path else ())
        keys = tuple(key for key in folders if key not in columns)
        found = SourceFile(file, num_rows, tuple(folders[key] for key in keys))
        signature = (*((name, str(kind)) for name, kind in columns.items()), keys)
        groups.setdefault(signature, ([], columns, keys))[0].append(found)
        num_rows += rows
    return Source(
        table, path, tuple(FileGroup(tuple(f), columns, keys) for f, columns, keys in groups.values()), num_rows
    )


def dataset_fingerprint(directory: Path | str) -> str:
    """Hex sha256 over names and content of `dataset.toml` and every file of the tables; other files do not count."""
    directory = Path(directory)
    files = [directory / CONFIG_FILE] if (directory / CONFIG_FILE).is_file() else []
    for table in TABLES:
        files += find_files(directory, table)[1]
    digest = hashlib.sha256()
    for file in track(files, "fingerprint of the dataset"):
        try:
            digest.update(f"{file.relative_to(directory).as_posix()}\0{sha256(file)}\n".encode())
        except OSError as error:
            raise DatasetError(f"{file} cannot be read: {error.strerror}.") from error
    return digest.hexdigest()


def _hive_folders(names: tuple[str, ...]) -> dict[str, str | None]:
    """Key -> value of folders named `key=value`."""
    pairs = (name.partition("=") for name in names if "=" in name)
    return {key: None if value in ("", HIVE_NULL) else unquote(value) for key, _, value in pairs}


def _begins_as_parquet(file: Path) -> bool:
    try:
        with file.open("rb") as handle:
            return handle.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror}.") from error


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _read_footer(file: Path) -> tuple[pa.Schema, int]:
    try:
        with pq.ParquetFile(file) as parquet:
            return parquet.schema_arrow, parquet.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{file} is no complete Parquet file: {one_line(error)}") from error


def _check_names(file: Path, names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if name in RESERVED_SOURCE_COLUMNS:
            raise DatasetError(f"{file} has a column '{name}', a reserved name; leave it out or rename it.")
        other = seen.setdefault(name.lower(), name)
        if other is not name:
            raise DatasetError(f"{file} has columns '{other}' and '{name}', which cannot be told apart; rename one.")


def one_line(error: Exception) -> str:
    """The first line of a library's message, ended by one full stop."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".") + "."
