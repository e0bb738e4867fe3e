"""Paths in the languages of other programs: SQL texts, glob patterns, URIs. Folders may have any printable name.

A path that is put into a statement or a URI without these functions breaks for some folder: DuckDB reads `[` as a
pattern and `k=v` folders as columns, SQLite reads `?` as the start of parameters, and Ibis quotes as Python does.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

# DuckDB cannot find a file with a backslash in a pattern. Sentences and logs have one line for each path and are UTF-8.
# A surrogate is how Python reads a byte that is not UTF-8.
UNUSABLE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")


def unusable_character(path: Path | str) -> str | None:
    """The first character that no path may have, in printable form; None if the path can be used."""
    found = UNUSABLE.search(str(path))
    return None if found is None else repr(found[0])


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def file_pattern(path: Path | str) -> str:
    """The glob pattern that matches this file only."""
    return "".join(f"[{character}]" if character in "[*?" else character for character in str(path))


def parquet_scan(path: Path | str) -> str:
    """The SQL of a table function that reads one Parquet file, without columns from the names of its folders."""
    return f"read_parquet({literal(file_pattern(path))}, hive_partitioning = false)"


def sqlite_uri(path: Path, mode: str) -> str:
    """The URI of a SQLite file for `sqlite3.connect(..., uri=True)`.

    Args:
        path: The file.
        mode: ro, rw or rwc.
    """
    return f"{path.absolute().as_uri()}?mode={mode}"


def write_expression(connection: Any, expression: Any, path: Path) -> None:
    """Writes an Ibis expression as a zstd-compressed Parquet file.

    Args:
        connection: The Ibis connection to DuckDB that the expression belongs to.
        expression: The table to write.
        path: The file.
    """
    view = f"written_{uuid4().hex}"
    connection.create_view(view, expression)  # registers the in-memory tables of the expression
    query = connection.compile(expression)
    connection.raw_sql(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")
    connection.drop_view(view)
