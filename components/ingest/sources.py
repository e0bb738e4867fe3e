"""Reads the schemas of a table's files, before any value is read, and computes the content fingerprint.

`listing.py` finds the files. The log that servers write has the layout of a dataset and uses contract names: many small
parts that never change. Its rows follow the dataset's rows. A file that is not complete Parquet, or whose columns
cannot be distinguished, raises `DatasetError`, which names the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest.layout.entries import SUFFIX, begins_as_parquet, format_in_words, is_hidden
from components.ingest.layout.listing import TableFile, find_files
from components.ingest.served_parts import RESERVED_SOURCE_COLUMNS, LeftOut, fault_of, report_left_out
from feature_repo.dataset.config import CONFIG_FILE
from feature_repo.dataset.contract import CONTRACT_COLUMNS, TABLES
from feature_repo.errors import DatasetError
from feature_repo.progress import track
from feature_repo.storage.files import sha256
from feature_repo.storage.folder import local_path, open_folder

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
SERVED_TABLES = ("interactions", "impressions")  # tables that servers log
FOOTER_THREADS = 4


@dataclass(frozen=True)
class SourceFile:
    """A file of a table.

    Attributes:
        path: The file.
        name: Its path below the dataset or log.
        first_row: Index of its first row in the table, from 0.
        folders: Values of the group's hive folders; None for a null folder.
    """

    path: Path
    name: PurePosixPath
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


def read_source(directory: Path, table: str, log: Path | None = None, damaged: Collection[LeftOut] = ()) -> TableSource:
    """Reads the footers of a table's files.

    Args:
        directory: The dataset.
        table: interactions, items, users or impressions.
        log: The log that servers wrote, in the same layout; may be absent. Columns outside the contract are ignored,
            and a part that cannot be read is left out and reported.
        damaged: Parts of the log whose rows turned out to be unreadable, although their footers are not.

    Raises:
        DatasetError: A file of the dataset is not complete Parquet, or two of its columns cannot be distinguished.
    """
    path, files = find_files(directory, table)
    groups, num_own = _groups(table, files, 0, served=False)
    num_rows = num_own
    if log is not None and table in SERVED_TABLES:
        served, num_rows = _groups(table, find_files(log, table, served=True)[1], num_own, served=True, damaged=damaged)
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
    config = directory / CONFIG_FILE
    files = [TableFile(PurePosixPath(CONFIG_FILE), config)] if config.is_file() else []
    for table in TABLES:
        files += find_files(directory, table)[1]
    digest = hashlib.sha256()
    for file in track(files, "fingerprint of the dataset"):
        try:
            digest.update(f"{file.name}\0{sha256(file.path)}\n".encode())
        except OSError as error:
            raise DatasetError(f"{file.path} cannot be read: {error.strerror}.") from error
    return digest.hexdigest() + parts_digest(log_parts(str(log)))


def parts_digest(parts: Mapping[str, int]) -> str:
    """A plus sign and a hex sha256 of the parts of a log (path in the log -> bytes); "" without parts."""
    lines = "".join(f"{name}\0{size}\n" for name, size in sorted(parts.items()))
    return f"+{hashlib.sha256(lines.encode()).hexdigest()}" if parts else ""


def log_parts(log: str) -> dict[str, int]:
    """Path of each part in the log -> size in bytes."""
    directory = local_path(log)
    if directory is not None:  # read in place, by the rules for a dataset's tables
        listed = [find_files(directory, table, served=True)[1] for table in SERVED_TABLES] if log else []
        return {str(file.name): file.path.stat().st_size for files in listed for file in files}
    found = {
        f"{table}/{name}": size
        for table in SERVED_TABLES
        for name, size in open_folder(f"{log.rstrip('/')}/{table}").sizes().items()
    }
    return {
        name: size for name, size in found.items() if name.endswith(SUFFIX) and not any(map(is_hidden, name.split("/")))
    }


def _groups(
    table: str, files: list[TableFile], first_row: int, *, served: bool, damaged: Collection[LeftOut] = ()
) -> tuple[tuple[FileGroup, ...], int]:
    """Files grouped by columns and hive folders, and the index after the last row; numbering starts at `first_row`.

    Files without a row are left out if another file has rows: the types of an empty part are often those of no value.
    """
    left_out = [part for part in damaged if any(part.path == file.path for file in files)]
    files = [file for file in files if file.path not in {part.path for part in left_out}]
    with ThreadPoolExecutor(FOOTER_THREADS) as pool:
        what = f"reading the footers of {'the log of ' if served else ''}{table}"
        read = partial(_served_footer, table) if served else _read_footer
        footers = list(track(pool.map(read, [file.path for file in files]), what, len(files)))
    is_empty = not any(footer[1] for footer in footers if not isinstance(footer, LeftOut))
    groups: dict[tuple[object, ...], tuple[list[SourceFile], dict[str, pa.DataType], tuple[str, ...]]] = {}
    spellings: dict[str, tuple[str, Path]] = {}
    for file, footer in zip(files, footers, strict=True):
        if isinstance(footer, LeftOut):
            left_out.append(footer)
            continue
        schema, rows = footer
        if not (rows or is_empty):
            continue
        if not served:
            _check_names(file.path, schema.names, spellings)
        columns = {name: kind for name, kind in zip(schema.names, schema.types, strict=True) if name}
        if served:
            columns = {name: columns[name] for name in CONTRACT_COLUMNS[table] if name in columns}
        folders = _hive_folders(() if served else file.name.parts[1:-1])
        keys = tuple(key for key in folders if key not in columns)
        found = SourceFile(file.path, file.name, first_row, tuple(folders[key] for key in keys))
        signature = (*((name, str(kind)) for name, kind in columns.items()), keys)
        groups.setdefault(signature, ([], columns, keys))[0].append(found)
        first_row += rows
    report_left_out(table, left_out)
    return tuple(FileGroup(tuple(f), columns, keys, served) for f, columns, keys in groups.values()), first_row


def _hive_folders(names: tuple[str, ...]) -> dict[str, str | None]:
    """Key -> value of folders named `key=value`."""
    pairs = (name.partition("=") for name in names if "=" in name)
    return {key: None if value in ("", HIVE_NULL) else unquote(value) for key, _, value in pairs}


def open_parquet(file: Path) -> pq.ParquetFile:
    """A Parquet file; times in INT96 are microseconds, as DuckDB reads them, because nanoseconds end in 2262."""
    return pq.ParquetFile(file, coerce_int96_timestamp_unit="us")


def _read_footer(file: Path) -> tuple[pa.Schema, int]:
    try:
        if not begins_as_parquet(file):
            raise DatasetError(f"{file} is {format_in_words(file)}: export it as Parquet, or move it away.")
        with open_parquet(file) as parquet:
            return parquet.schema_arrow, parquet.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        if "encrypted" in str(error):
            raise DatasetError(f"{file} is encrypted: export it without encryption.") from error
        raise DatasetError(f"{file} is not a complete Parquet file: {one_line(error)}.") from error


def _served_footer(table: str, file: Path) -> tuple[pa.Schema, int] | LeftOut:
    """Schema and rows of a part of the log, or why the part is left out; a part that may not be opened is an error."""
    try:
        schema, rows = _read_footer(file)
    except DatasetError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno is not None:
            raise
        return LeftOut(file, "it is not a complete Parquet file")
    fault = fault_of(table, schema)
    return LeftOut(file, fault) if fault else (schema, rows)


def _check_names(file: Path, names: list[str], spellings: dict[str, tuple[str, Path]]) -> None:
    """Refuses columns that DuckDB cannot distinguish, in a file or between the files of a table.

    Args:
        file: The file.
        names: Names of its columns; DuckDB calls a column without a name by its place.
        spellings: Name in lower case -> the name and file in which it appeared first; grows.
    """
    seen: set[str] = set()
    for name in [name or f"C{place}" for place, name in enumerate(names)]:
        if name.lower() in RESERVED_SOURCE_COLUMNS:
            raise DatasetError(f"{file} has a column '{name}', a reserved name; leave it out or rename it.")
        other, first = spellings.setdefault(name.lower(), (name, file))
        if other != name or name.lower() in seen:
            where = f"{file} has columns '{other}' and '{name}'"
            if first != file:
                where = f"{first} has a column '{other}' and {file} a column '{name}'"
            raise DatasetError(f"{where}, which cannot be distinguished; rename one of them.")
        seen.add(name.lower())


def one_line(error: Exception) -> str:
    """The first line of a library's message, without a full stop at its end."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
