"""The prepared tables: what ingest writes, row rules clean, and every later step reads.

Owns their columns, types and order, and the row map. A prepared directory holds `interactions.parquet`,
`items.parquet`, `users.parquet`, `impressions.parquet` and, written last, `dataset.json`; every table and column is
always there, as typed nulls where the dataset has none. Refuses a directory without `dataset.json`.

What the columns promise beyond their types:

- `row`: place of the row in its source table, counted from 0 over its files in path order.
- `row_hash`: equal for rows that are equal in every column of the source, those not prepared included; never a
  feature. Two rows are exact duplicates where `row_hash` and the prepared columns but `row` agree.
- Text is never empty and numbers are finite: what was empty, NaN or infinite is null. Ids may be null until row rules
  have set such rows aside, and so may timestamps.
- `grade`: 1..n of the strongest objective the event fulfils (n the strongest), 0 context, -1 turned down. For
  impressions the strongest label, -1 where a negative event shares request and item.
- interactions and impressions are sorted by (timestamp, row), items and users by (id, valid_from, row) with null
  first, so that of several rows of one id and time the last one counts.
- `regions` joins the allowed countries by "|"; null is everywhere. `position` is null where unknown, 0 at the top;
  `propensity` is null where unknown or outside (0, 1].
- `label_<objective>` is 0 or 1, and null where nothing says what the label was: in every row of the dataset, or in
  every row of the served log.
- Rows of a served log follow those of the dataset: their `row` is at least `num_own[<table>]` of `dataset.json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from feature_repo.dataset.config import DatasetConfig
from feature_repo.dataset.contract import CONTRACT_COLUMNS, TABLES
from feature_repo.dataset.split import Split
from feature_repo.errors import DatasetError
from feature_repo.storage.files import read_json

DESCRIPTION_FILE = "dataset.json"
TIMESTAMP = pa.timestamp("us", tz="UTC")
ARROW_TYPES = {
    "id": pa.string(),
    "text": pa.string(),
    "text!": pa.string(),
    "regions": pa.string(),
    "time": TIMESTAMP,
    "number": pa.float64(),
    "propensity": pa.float64(),
    "flag": pa.bool_(),
    "position": pa.int32(),
    "label": pa.int8(),
}
SORT_KEYS = {
    "interactions": ("timestamp", "row"),
    "impressions": ("timestamp", "row"),
    "items": ("item_id", "valid_from", "row"),
    "users": ("user_id", "valid_from", "row"),
}


def label_column(objective: str) -> str:
    """Name of an objective's label in prepared impressions."""
    return f"label_{objective}"


def column_kinds(table: str, config: DatasetConfig) -> dict[str, str]:
    """Prepared columns read from the source in order, each with how it is read (a key of ARROW_TYPES)."""
    extras = config.extras(table)
    return {
        **CONTRACT_COLUMNS[table],
        **dict.fromkeys(extras.categorical, "text"),
        **dict.fromkeys(extras.numerical, "number"),
    }


def table_schema(table: str, config: DatasetConfig) -> pa.Schema:
    """Arrow schema of a prepared table."""
    fields = [pa.field("row", pa.int64()), pa.field("row_hash", pa.uint64())]
    fields += [pa.field(name, ARROW_TYPES[kind]) for name, kind in column_kinds(table, config).items()]
    if table == "impressions":
        fields += [pa.field(label_column(objective), pa.int8()) for objective in config.objective_names]
    if table in ("interactions", "impressions"):
        fields.append(pa.field("grade", pa.int8()))
    return pa.schema(fields)


@dataclass(frozen=True)
class PreparedTables:
    """A prepared directory; tables are read when first asked for and kept.

    Attributes:
        directory: Where the files are.
        description: Content of `dataset.json`.
    """

    directory: Path
    description: dict[str, Any]

    @classmethod
    def open(cls, directory: Path | str) -> Self:
        """Opens a prepared directory.

        Raises:
            DatasetError: `dataset.json` is missing: preparing it did not end.
        """
        path = Path(directory) / DESCRIPTION_FILE
        if not path.is_file():
            raise DatasetError(f"{path} is missing: {directory} holds no prepared tables, run ingest first.")
        return cls(Path(directory), read_json(path))

    def path(self, table: str) -> Path:
        """File of a table."""
        return self.directory / f"{table}.parquet"

    def read(self, table: str, columns: list[str] | None = None) -> pa.Table:
        """Some columns of a table (all by default), not kept; any may be null, even where no row of the file is."""
        found = pq.read_table(self.path(table), columns=columns, partitioning=None)
        return found.cast(pa.schema([field.with_nullable(True) for field in found.schema]))

    def batches(self, table: str, column: str) -> Iterator[pa.Array]:
        """The values of a column a batch at a time: memory does not grow with the table."""
        with pq.ParquetFile(self.path(table)) as file:
            for batch in file.iter_batches(columns=[column]):
                yield batch.column(0)

    @cached_property
    def interactions(self) -> pa.Table:
        """All of `interactions.parquet`."""
        return self.read("interactions")

    @cached_property
    def items(self) -> pa.Table:
        """All of `items.parquet`."""
        return self.read("items")

    @cached_property
    def users(self) -> pa.Table:
        """All of `users.parquet`."""
        return self.read("users")

    @cached_property
    def impressions(self) -> pa.Table:
        """All of `impressions.parquet`."""
        return self.read("impressions")

    @cached_property
    def config(self) -> DatasetConfig:
        """The dataset's `dataset.toml`."""
        return DatasetConfig.model_validate(self.description["config"])

    @cached_property
    def split(self) -> Split:
        """Boundaries in time."""
        return Split.model_validate(self.description["split"])

    @property
    def objectives(self) -> tuple[str, ...]:
        """Objectives, weakest first."""
        return self.config.objective_names

    @property
    def num_rows(self) -> dict[str, int]:
        """Rows of each table."""
        return {table: int(self.description["num"][table]) for table in TABLES}

    @property
    def has_slates(self) -> bool:
        """Whether some request showed more than one item."""
        return bool(self.description["has_slates"])

    @property
    def has_sessions(self) -> bool:
        """Whether what happened outside of slates is grouped by session: where the dataset itself has no slates.

        A served log adds slates to any dataset; the history before it stays one of sessions.
        """
        return not self.description["has_own_slates"]

    @property
    def has_positions(self) -> bool:
        """Whether some impression knows its position."""
        return bool(self.description["has_positions"])


def item_universe(tables: PreparedTables) -> npt.NDArray[np.object_]:
    """Every item id of items, interactions and impressions, as text [m], sorted by code point: the row map."""
    ids: set[str] = set()
    for table in ("items", "interactions", "impressions"):
        for values in tables.batches(table, "item_id"):
            ids.update(value for value in pc.unique(values).to_pylist() if value is not None)
    return np.array(sorted(ids), dtype=object)


def unix_seconds(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """A timestamp column as unix seconds [n]; null is NaN."""
    micros = pc.cast(pc.cast(column, pa.int64()), pa.float64(), safe=False)
    seconds: npt.NDArray[np.float64] = np.asarray(micros.to_numpy(), dtype=np.float64) / 1e6
    return seconds
