"""Recognises folders of table formats whose Parquet files are not the table: Delta, Iceberg and Hudi.

Such a folder keeps deleted and replaced rows in its files; a log in the folder lists the files that count. Read as
plain Parquet, the deleted rows come back. Ingest therefore refuses the folder and names the command that exports it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from components.ingest.layout.entries import SUFFIX

DELTA_LOG = "_delta_log"
HUDI_FOLDER = ".hoodie"
ICEBERG_FOLDER = "metadata"
ICEBERG_FILE = re.compile(r"(?:v?(\d+).*)?\.metadata\.json|version-hint\.text")


@dataclass(frozen=True)
class TableFormat:
    """A table format that is not plain Parquet.

    Attributes:
        name: Its name, with an article.
        command: The command that exports the current rows of a folder as Parquet, and where it runs.
    """

    name: str
    command: str


def foreign_format(folder: Path) -> TableFormat | None:
    """The table format of a folder; None for a folder of plain files.

    Raises:
        OSError: The folder of Iceberg's metadata cannot be listed.
    """
    target = f"{folder}{SUFFIX}"
    if (folder / DELTA_LOG).exists():
        read = f"from deltalake import DeltaTable; table = DeltaTable({str(folder)!r}).to_pyarrow_table()"
        return TableFormat("a Delta table", _command("deltalake", read, target))
    if (folder / HUDI_FOLDER).exists():
        export = f"spark.read.format('hudi').load({str(folder)!r}).write.parquet({target!r})"
        return TableFormat("a Hudi table", f"{export} in a Spark shell with the Hudi bundle")
    metadata = folder / ICEBERG_FOLDER
    names = os.listdir(metadata) if metadata.is_dir() else []
    found = [name for name in names if ICEBERG_FILE.fullmatch(name)]
    if not found:
        return None
    newest = str(metadata / max(found, key=_version))
    read = f"from pyiceberg.table import StaticTable; table = StaticTable.from_metadata({newest!r}).scan().to_arrow()"
    return TableFormat("an Iceberg table", _command("'pyiceberg[pyarrow]'", read, target))


def _command(package: str, read: str, target: str) -> str:
    write = f"import pyarrow.parquet as pq; pq.write_table(table, {target!r})"
    return f'pip install {package} && python -c "{read}; {write}"'


def _version(name: str) -> int:
    """Version in the name of a metadata file; -1 for the hint, which is not such a file."""
    found = ICEBERG_FILE.fullmatch(name)
    return int(found[1]) if found and found[1] else -1
