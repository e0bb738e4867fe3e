"""Finds the files of a dataset's tables and reads their schemas, before any value is read.

A table is one file or a directory of files with hive folders. The log that servers write has the same layout and uses
contract names: many small parts that never change. Its rows follow the dataset's rows. This module also computes the
content fingerprint. A file that is unreadable, ambiguous or not Parquet raises `DatasetError`, which names the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo.dataset.config import CONFIG_FILE
from feature_repo.dataset.contract import CONTRACT_COLUMNS, TABLES
from feature_repo.errors import DatasetError
from feature_repo.progress import track
from feature_repo.storage.files import sha256
from feature_repo.storage.folder import local_path, open_folder

SUFFIX = ".parquet"
MAGIC = b"PAR1"
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
SERVED_TABLES = ("interactions", "impressions")  # tables that servers log
FOOTER_THREADS = 4
RESERVED_SOURCE_COLUMNS = ("filename", "file_row_number", "file_index")


@dataclass(frozen=True)
class SourceFile:
    """A file of a table.

    Attributes:
        path: The file.
        first_row: Index of its first row in the table, from 0.
        folders: Values of the group's hive folders; None for a null folder.
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
        hive_keys: Names of `key=value` folders that are not also columns of the files.
        served: Whether servers logged the files: they use contract names regardless of `dataset.toml`, and have no
            labels.
    """

    files: tuple[SourceFile, ...]
    columns: dict[str, pa.DataType]
    hive_keys: tuple[str, ...]
    served: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every name from which a value can be read."""
        return (*self.columns, *self.hive_keys)


@dataclass(frozen=True)
class TableSource:
    """A source table: the files of the dataset, then the files of the log.

    Attributes:
        table: interactions, items, users or impressions.
        path: The file or directory.
        groups: Files of the dataset, then files of the log; empty if the table is absent.
        num_own: Rows of the dataset; they come first.
        num_rows: Rows of dataset and log.
    """

    table: str
    path: Path
    groups: tuple[FileGroup, ...]
    num_own: int
    num_rows: int

    @property
    def own(self) -> tuple[FileGroup, ...]:
        """The dataset's own files."""
        return tuple(group for group in self.groups if not group.served)

    @property
    def served(self) -> tuple[FileGroup, ...]:
        """The log's files."""
        return tuple(group for group in self.groups if group.served)

    @cached_property
    def names(self) -> frozenset[str]:
        """Names found in any file of the dataset."""
        return frozenset(name for group in self.own for name in group.names)


def find_files(directory: Path, table: str) -> tuple[Path, list[Path]]:
    """The path of a table and its Parquet files in path order; no files if the table is absent.

    A table is `<table>.parquet` or `<table>/`, either a file or a directory. Files and folders whose names begin with
    a dot or an underscore are skipped, as other readers do, and so are files of other formats.

    Raises:
        DatasetError: Both paths exist, or a Parquet file lacks the suffix, so that its rows would be lost.
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
            raise DatasetError(f"{file} is a Parquet file without the suffix {SUFFIX}: add it, or move the file away.")
    return path, [file for file in inside if file.suffix == SUFFIX]


def read_source(directory: Path, table: str, log: Path | None = None) -> TableSource:
    """Reads the footers of a table's files.

    Args:
        directory: The dataset.
        table: interactions, items, users or impressions.
        log: The log that servers wrote, in the same layout; may be absent. Columns outside the contract are ignored.

    Raises:
        DatasetError: A file is not a complete Parquet file, or two of its columns cannot be distinguished.
    """
    path, files = find_files(directory, table)
    groups, num_own = _groups(table, path, files, 0, served=False)
    num_rows = num_own
    if log is not None and table in SERVED_TABLES:
        served, num_rows = _groups(table, *find_files(log, table), num_own, served=True)
        groups += served
    return TableSource(table, path, groups, num_own, num_rows)


def dataset_fingerprint(directory: Path | str, log: Path | str = "") -> str:
    """Hex sha256 over names and content of `dataset.toml` and every file of the tables; other files are ignored.

    Args:
        directory: The dataset.
        log: The log that servers wrote, a directory or URL. If it holds parts, "+" and a digest of their names and
            sizes follow; the content is not read, because parts never change.

    Raises:
        DatasetError: A file cannot be read.
        StorageError: A remote log cannot be reached.
    """
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
    return digest.hexdigest() + parts_digest(_log_parts(str(log)))


def parts_digest(parts: Mapping[str, int]) -> str:
    """A plus sign and a hex sha256 of the parts of a log (path in the log -> bytes); "" without parts."""
    lines = "".join(f"{name}\0{size}\n" for name, size in sorted(parts.items()))
    return f"+{hashlib.sha256(lines.encode()).hexdigest()}" if parts else ""


def _log_parts(log: str) -> dict[str, int]:
    """Path of each part in the log -> size in bytes."""
    directory = local_path(log)
    if directory is not None:  # read in place, by the rules for a dataset's tables
        files = [file for table in SERVED_TABLES for file in find_files(directory, table)[1]] if log else []
        return {file.relative_to(directory).as_posix(): file.stat().st_size for file in files}
    found = {
        f"{table}/{name}": size
        for table in SERVED_TABLES
        for name, size in open_folder(f"{log.rstrip('/')}/{table}").sizes().items()
    }
    return {name: size for name, size in found.items() if name.endswith(SUFFIX) and not _is_hidden(Path(name))}


def _groups(
    table: str, path: Path, files: list[Path], first_row: int, *, served: bool
) -> tuple[tuple[FileGroup, ...], int]:
    """Files grouped by columns and hive folders, and the index after the last row; numbering starts at `first_row`."""
    groups: dict[tuple[object, ...], tuple[list[SourceFile], dict[str, pa.DataType], tuple[str, ...]]] = {}
    with ThreadPoolExecutor(FOOTER_THREADS) as pool:
        footers = pool.map(_read_footer, files)
        what = f"reading the footers of {'the log of ' if served else ''}{table}"
        for file, (schema, rows) in zip(track(files, what), footers, strict=True):
            columns = dict(zip(schema.names, schema.types, strict=True))
            if served:
                columns = {name: columns[name] for name in CONTRACT_COLUMNS[table] if name in columns}
            else:
                _check_names(file, schema.names)
            folders = _hive_folders(file.relative_to(path).parts[:-1] if file != path and not served else ())
            keys = tuple(key for key in folders if key not in columns)
            found = SourceFile(file, first_row, tuple(folders[key] for key in keys))
            signature = (*((name, str(kind)) for name, kind in columns.items()), keys)
            groups.setdefault(signature, ([], columns, keys))[0].append(found)
            first_row += rows
    return tuple(FileGroup(tuple(f), columns, keys, served) for f, columns, keys in groups.values()), first_row


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
        raise DatasetError(f"{file} is not a complete Parquet file: {one_line(error)}.") from error


def _check_names(file: Path, names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if name in RESERVED_SOURCE_COLUMNS:
            raise DatasetError(f"{file} has a column '{name}', a reserved name; leave it out or rename it.")
        other = seen.setdefault(name.lower(), name)
        if other is not name:
            raise DatasetError(
                f"{file} has columns '{other}' and '{name}', which cannot be distinguished; rename one of them."
            )


def damaged_file(source: TableSource) -> Path | None:
    """The first file whose content cannot be read; None if every file can be read."""
    for group in source.groups:
        for file in group.files:
            try:
                with pq.ParquetFile(file.path) as parquet:
                    for _ in parquet.iter_batches(columns=list(group.columns)):
                        pass
            except (pa.ArrowException, OSError):
                return file.path
    return None


def one_line(error: Exception) -> str:
    """The first line of a library's message, without a full stop at its end."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
