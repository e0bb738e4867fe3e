"""Dataset directories as they come from the field, made from a seed, each with its expected outcome.

A directory combines a way to store each table with types and sentinels of its columns. Consecutive numbers take each
case of `column_cases` and `folder_cases` in turn as the subject; a seeded choice of readable cases surrounds it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.kit.column_cases import COLUMN_CASES, ColumnCase, interactions, items
from tests.kit.folder_cases import FOLDER_CASES, FolderCase

CONFIG = 'name = "field"\n[objectives]\nclick = ["view"]\nconvert = ["purchase"]\n[quality]\nminimum_rate = 0.5\n'
TABLES = {"interactions": interactions, "items": items}
SUBJECTS: tuple[ColumnCase | FolderCase, ...] = (*FOLDER_CASES, *COLUMN_CASES)
STRIDE = 29  # coprime to the number of subjects, so that any run of numbers mixes folders and columns


@dataclass(frozen=True)
class DatasetCase:
    """A dataset directory.

    Attributes:
        name: The cases it combines, the subject first.
        rows: Table -> number of rows.
        bad: Table -> rows that the row rules quarantine.
        expected: (table, column) -> prepared values in the order of the source.
        refused: Words of the error sentence; () if the dataset is read.
        said: Words of lines that ingest prints.
    """

    name: str
    rows: dict[str, int]
    bad: dict[str, int]
    expected: dict[tuple[str, str], list[Any]]
    refused: tuple[str, ...]
    said: tuple[str, ...]


def write_dataset_case(number: int, directory: Path) -> DatasetCase:
    """Writes the dataset of a number into a new directory."""
    chance = random.Random(number)
    subject = SUBJECTS[number * STRIDE % len(SUBJECTS)]
    columns = {table: _column(chance, subject, table) for table in TABLES}
    place = chance.choice(sorted(TABLES))
    folders = {
        table: subject if isinstance(subject, FolderCase) and table == place else _folder(chance, table)
        for table in TABLES
    }
    directory.mkdir()
    text = CONFIG + "".join(case.config for case in columns.values() if case)
    (directory / "dataset.toml").write_bytes(text.encode(chance.choice(["utf-8", "utf-8-sig"])))
    rows = {}
    for table, make in TABLES.items():
        column = columns[table]
        content = column.change(make()) if column else make()
        rows[table] = content.num_rows
        write = partial(pq.write_table, use_deprecated_int96_timestamps=bool(column and column.int96))
        folders[table].store(directory, table, content, write)
    chosen = [subject, *(case for case in (*columns.values(), *folders.values()) if case and case is not subject)]
    return DatasetCase(
        name=", ".join(case.name for case in chosen),
        rows=rows,
        bad={table: column.bad if column else 0 for table, column in columns.items()},
        expected={
            (table, name): values for table, case in columns.items() if case for name, values in case.expected.items()
        },
        refused=tuple(word for case in chosen for word in case.refused),
        said=tuple(word for case in chosen for word in case.said),
    )


def _column(chance: random.Random, subject: ColumnCase | FolderCase, table: str) -> ColumnCase | None:
    """The subject if it changes the table, else a readable case of the table or none."""
    if isinstance(subject, ColumnCase) and subject.table == table:
        return subject
    return chance.choice([None, *(case for case in COLUMN_CASES if case.table == table and not case.refused)])


def _folder(chance: random.Random, table: str) -> FolderCase:
    return chance.choice([case for case in FOLDER_CASES if not case.refused])


def values(table: pa.Table, column: str) -> list[Any]:
    """A prepared column in the order of the source rows."""
    found: list[Any] = table.sort_by("row")[column].to_pylist()
    return found
