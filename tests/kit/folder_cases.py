"""Ways to store a table in a dataset directory, each with its expected outcome."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

Write = Callable[[pa.Table, Path], None]  # writes rows as one Parquet file


@dataclass(frozen=True)
class FolderCase:
    """A way to store a table.

    Attributes:
        name: The way.
        store: Stores rows as a table (its name) in a directory with a function that writes one file.
        refused: Words of the error sentence; () if every row is read.
        said: Words of a line that ingest prints.
    """

    name: str
    store: Callable[[Path, str, pa.Table, Write], None]
    refused: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


def _parts(rows: pa.Table) -> list[pa.Table]:
    middle = rows.num_rows // 2
    return [rows.slice(0, middle), rows.slice(middle)]


def _places(names: tuple[str, str]) -> Callable[[Path, str, pa.Table, Write], None]:
    """Two parts at paths below the folder of the table."""

    def store(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
        for name, part in zip(names, _parts(rows), strict=True):
            (directory / table / name).parent.mkdir(parents=True, exist_ok=True)
            write(part, directory / table / name)

    return store


def _file(directory: Path, table: str, rows: pa.Table, write: Write, *, name: str = "{}.parquet") -> None:
    write(rows, directory / name.format(table))


def _folder_of_spark(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
    folder = directory / f"{table}.parquet"
    (folder / "_temporary" / "0").mkdir(parents=True)
    for name in ("_SUCCESS", "._SUCCESS.crc", ".part-0.snappy.parquet.crc", "_temporary/0/part-9.parquet"):
        (folder / name).write_bytes(b"crc" if name.endswith("crc") else b"")
    for number, part in enumerate(_parts(rows)):
        write(part, folder / f"part-{number}.snappy.parquet")


def _with_entry(name: str, content: bytes = b"a,b\n1,2\n") -> Callable[[Path, str, pa.Table, Write], None]:
    """Two parts, and another file below the table."""

    def store(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
        _places(("a.parquet", "b.parquet"))(directory, table, rows, write)
        (directory / table / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / table / name).write_bytes(content)

    return store


def _linked(directory: Path, table: str, rows: pa.Table, write: Write, *, target: str, as_text: bool = False) -> None:
    """One part in the table, the other behind a link to a file or folder outside of it."""
    outside = directory / "outside" / table / "part.parquet"
    outside.parent.mkdir(parents=True)
    (directory / table).mkdir()
    first, second = _parts(rows)
    write(first, directory / table / "a.parquet")
    write(second, outside)
    link = directory / table / ("day=2.parquet" if target.endswith("parquet") else "day=2")
    if as_text:
        link.write_text(f"../outside/{table}{target}")
    else:
        link.symlink_to(f"../outside/{table}{target}")


def _table_is_a_link(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
    (directory / "outside").mkdir(exist_ok=True)
    write(rows, directory / "outside" / f"of-{table}")
    (directory / f"{table}.parquet").symlink_to(f"outside/of-{table}")


def _broken(directory: Path, table: str, rows: pa.Table, write: Write, *, name: str) -> None:
    _places(("a.parquet", "b.parquet"))(directory, table, rows, write)
    (directory / table / name).symlink_to("/nowhere/part")


def _broken_table(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
    (directory / f"{table}.parquet").symlink_to("../.dvc/cache/ab")


def _circle(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
    _places(("a.parquet", "b.parquet"))(directory, table, rows, write)
    (directory / table / "day=2").symlink_to(directory / table)


def _twice(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
    _places(("a.parquet", "day=1/b.parquet"))(directory, table, rows, write)
    (directory / table / "latest").symlink_to("day=1")


def _both(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
    first, second = _parts(rows)
    (directory / table).mkdir()
    write(first, directory / table / "a.parquet")
    write(second, directory / f"{table}.parquet")


def _cut(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
    file = directory / f"{table}.parquet"
    write(rows, file)
    file.write_bytes(file.read_bytes()[:-20])


def _csv(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
    pyarrow.csv.write_csv(pa.table({"user_id": ["u1"]}), directory / f"{table}.csv")


def _gzipped(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
    file = directory / f"{table}.parquet"
    write(rows, file)
    (directory / f"{table}.parquet.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()


def _pipe(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
    _places(("a.parquet", "b.parquet"))(directory, table, rows, write)
    os.mkfifo(directory / table / "c.parquet")


def _only_notes(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
    (directory / table).mkdir()
    (directory / table / "README.md").write_text("the rows are elsewhere")


def _next_to(name: str) -> Callable[[Path, str, pa.Table, Write], None]:
    """The table, and the same rows as another entry."""

    def store(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
        write(rows, directory / f"{table}.parquet")
        write(rows, directory / name.format(table))

    return store


def _empty_part(directory: Path, table: str, rows: pa.Table, write: Write) -> None:
    """An empty part whose types are those of no value, as pandas writes it."""
    _places(("a.parquet", "c.parquet"))(directory, table, rows, write)
    empty = pa.table({name: pa.nulls(0, pa.float64()) for name in rows.column_names})
    pq.write_table(empty, directory / table / "b.parquet")


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
FOLDER_CASES = (
    FolderCase("file", _file),
    FolderCase("file without suffix", partial(_file, name="{}")),
    FolderCase("folder", _places(("a.parquet", "b.parquet"))),
    FolderCase("nested folders", _places(("2024/03/a.parquet", "2024/04/a.parquet"))),
    FolderCase("hive folders", _places(("day=1/a.parquet", "day=2/a.parquet"))),
    FolderCase("hive folders under an underscore", _places(("_day=1/a.parquet", "_day=2/a.parquet"))),
    FolderCase("names of patterns", _places(("[a]*?.parquet", "it's #1 %20.parquet"))),
    FolderCase("folder of Spark", _folder_of_spark),
    FolderCase("notes", _with_entry("README.md")),
    FolderCase("empty part", _empty_part),
    FolderCase("linked file", partial(_linked, target="/part.parquet")),
    FolderCase("linked folder", partial(_linked, target="")),
    FolderCase("link as text", partial(_linked, target="", as_text=True)),
    FolderCase("table is a link", _table_is_a_link),
    FolderCase("table next to another format", _next_to("{}_old.parquet"), said=("_old.parquet is not read",)),
    FolderCase("broken link", partial(_broken, name="c.parquet"), ("c.parquet is a link to /nowhere/part",)),
    FolderCase("broken folder", partial(_broken, name="day=3"), ("day=3 is a link to /nowhere/part",)),
    FolderCase("broken table", _broken_table, (".parquet is a link to ", ".dvc/cache/ab")),
    FolderCase("circle", _circle, ("day=2 is a link to ", "a folder that holds it")),
    FolderCase("file twice", _twice, ("day=1/b.parquet", "latest/b.parquet", "the same file")),
    FolderCase("file and folder", _both, ("holds both",)),
    FolderCase("cut file", _cut, ("is not a complete Parquet file",)),
    FolderCase("empty file", _with_entry("c.parquet", b""), ("c.parquet is not a complete Parquet file",)),
    FolderCase("CSV in a folder", _with_entry("c.csv"), ("c.csv is not a complete Parquet file", "would be lost")),
    FolderCase("JSON in a folder", _with_entry("x/c.json"), ("c.json is not a complete Parquet file",)),
    FolderCase("pointer of Git LFS", _with_entry("c.parquet", LFS), ("c.parquet is a pointer of Git LFS",)),
    FolderCase("pointer of DVC", _with_entry("c.parquet.dvc"), ("c.parquet.dvc is a pointer of DVC",)),
    FolderCase("only CSV", _csv, (".csv looks like the table",)),
    FolderCase("gzip", _gzipped, (".parquet.gz looks like the table",)),
    FolderCase("another case", lambda d, t, rows, write: write(rows, d / f"{t.title()}.parquet"), ("looks like",)),
    FolderCase("another suffix", partial(_file, name="{}.parq"), (".parq looks like the table",)),
    FolderCase("second file", _next_to("{} (1).parquet"), (" (1).parquet looks like the table",)),
    FolderCase("part without suffix", _places(("a.parquet", "part-1")), ("part-1 is a Parquet file without",)),
    FolderCase("hidden part", _places(("a.parquet", "_b.parquet")), ("_b.parquet is hidden",)),
    FolderCase("hidden folder", _places(("a.parquet", ".old/b.parquet")), (".old/b.parquet is hidden",)),
    FolderCase("only notes", _only_notes, ("holds no Parquet file",)),
    FolderCase("pipe", _pipe, ("c.parquet is neither a file nor a folder",)),
    FolderCase("line end in a name", _places(("a.parquet", "b\nc.parquet")), ("b\\nc.parquet", "rename it")),
    FolderCase("Delta", _with_entry("_delta_log/0.json"), ("is a Delta table", "pip install deltalake")),
    FolderCase("Iceberg", _with_entry("x/metadata/v1.metadata.json"), ("x is an Iceberg table", "pyiceberg")),
    FolderCase("Hudi", _with_entry("x/.hoodie/hoodie.properties"), ("x is a Hudi table", "format('hudi')")),
)
