"""Writes files atomically, so that a reader sees the old or the new content, and reads them back.

The module also computes checksums. It does not validate content: the writer of a format does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

CHUNK_BYTES = 1 << 20


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yields a temporary path in the same folder, and moves the file to `path` after the block succeeds.

    The content is flushed to disk before the replacement. After an exception `path` is unchanged and the temporary
    file is removed. Missing parent folders are created.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid4().hex[:8]}.tmp"
    try:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Writes `text` as UTF-8, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: Any) -> None:
    """Writes `content` as indented JSON, keys in their order; NaN and infinity raise ValueError."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path | str) -> Any:
    """The parsed content of a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_parquet(path: Path | str, table: pa.Table) -> None:
    """Writes an Arrow table as zstd-compressed Parquet with microsecond timestamps, atomically."""
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", coerce_timestamps="us", allow_truncated_timestamps=True)


def sync_directory(directory: Path) -> None:
    """Makes the entries of a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def list_files(directory: Path) -> list[str]:
    """Relative paths of all files below a directory, sorted."""
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def sync_tree(directory: Path) -> None:
    """Flushes every file below a directory, and the directories, to disk."""
    folders = {directory, directory.parent}
    for name in list_files(directory):
        path = directory / name
        folders.add(path.parent)
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
    for folder in folders:
        sync_directory(folder)


def sha256(path: Path | str) -> str:
    """Hex sha256 of a file's content, read in chunks."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
