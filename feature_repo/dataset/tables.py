"""The prepared tables: ingest writes them, row rules clean them, and all later steps read them.

Defines their columns, types and order, and the row map. A prepared directory contains `interactions.parquet`,
`items.parquet`, `users.parquet`, `impressions.parquet` and `dataset.json`. Every table and column always exists, with
typed nulls if the dataset has no such column. `dataset.json` is written last, and a directory without it is rejected.

Guarantees of the columns beyond their types:

- `row`: position of the row in its source table, counted from 0 over its files in path order.
- `row_hash`: equal for rows that are equal in every column of the source, including unprepared columns but not row
  counters such as the index of pandas (`__index_level_0__`, `Unnamed: 0`, a column without a name); never a feature.
  Two rows are exact duplicates if `row_hash` and all prepared columns except `row` are equal.
- Text is never empty, numbers are finite, and times lie in the years 1 to 9999, `created_at` and `signup_at` in 1900 to
  2199; other values are null. Ids may be null until row rules have removed such rows, and so may timestamps. The row
  rules also enforce the bounds and forms of `values.py`.
- `grade`: 1..n of the strongest objective that the event fulfils (n is the strongest), 0 context, -1 negative. For
  impressions the strongest label, or -1 if a negative event has the same request and item.
- interactions and impressions are sorted by (timestamp, row), items and users by (id, valid_from, row) with null
  first, so that of several rows of one id and time the last one counts.
- `regions` joins the allowed countries by "|"; null means everywhere. `position` is null if unknown, and 0 at the top;
  `propensity` is null if unknown or outside (0, 1].
- `label_<objective>` is 0 or 1, or null if the label is unknown: in every row of the dataset, or in
  every row of the served log.
- Rows of a served log follow those of the dataset: their `row` is at least `num_own[<table>]` of `dataset.json`.

Tables of the leave-one-out protocol also contain `held_out.parquet`: items that are asked for at their own times.
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
from feature_repo.dataset.time_scales import TimeScales
from feature_repo.errors import DatasetError
from feature_repo.storage.files import read_json

DESCRIPTION_FILE = "dataset.json"
HELD_OUT_FILE = "held_out.parquet"
TIMESTAMP = pa.timestamp("us", tz="UTC")
ARROW_TYPES = {
    "id": pa.string(),
    "text": pa.string(),
    "text!": pa.string(),
    "regions": pa.string(),
    "time": TIMESTAMP,
    "since": TIMESTAMP,
    "number": pa.float64(),
    "propensity": pa.float64(),
    "flag": pa.bool_(),
    "position": pa.int32(),
    "label": pa.int8(),
}
HELD_OUT_SCHEMA = pa.schema(
    {"user_id": pa.string(), "item_id": pa.string(), "timestamp": TIMESTAMP, "grade": pa.int8(), "role": pa.string()}
)
SORT_KEYS = {
    "interactions": ("timestamp", "row"),
    "impressions": ("timestamp", "row"),
    "items": ("item_id", "valid_from", "row"),
    "users": ("user_id", "valid_from", "row"),
}


def label_column(objective: str) -> str:
    """Returns the name of an objective's label column in prepared impressions."""
    return f"label_{objective}"


def column_kinds(table: str, config: DatasetConfig) -> dict[str, str]:
    """Returns the prepared columns of the source in order, each with its type (a key of ARROW_TYPES)."""
    extras = config.extras(table)
    return {
        **CONTRACT_COLUMNS[table],
        **dict.fromkeys(extras.categorical, "text"),
        **dict.fromkeys(extras.numerical, "number"),
    }


def table_schema(table: str, config: DatasetConfig) -> pa.Schema:
    """Returns the Arrow schema of a prepared table."""
    fields = [pa.field("row", pa.int64()), pa.field("row_hash", pa.uint64())]
    fields += [pa.field(name, ARROW_TYPES[kind]) for name, kind in column_kinds(table, config).items()]
    if table == "impressions":
        fields += [pa.field(label_column(objective), pa.int8()) for objective in config.objective_names]
    if table in ("interactions", "impressions"):
        fields.append(pa.field("grade", pa.int8()))
    return pa.schema(fields)


@dataclass(frozen=True)
class PreparedTables:
    """A prepared directory; tables are read on first use and cached.

    Attributes:
        directory: The folder of the files.
        description: Content of `dataset.json`.
    """

    directory: Path
    description: dict[str, Any]

    @classmethod
    def open(cls, directory: Path | str) -> Self:
        """Opens a prepared directory.

        Raises:
            DatasetError: `dataset.json` is missing, because ingest did not finish.
        """
        path = Path(directory) / DESCRIPTION_FILE
        if not path.is_file():
            raise DatasetError(f"{path} is missing: {directory} has no prepared tables, run ingest first.")
        return cls(Path(directory), read_json(path))

    def path(self, table: str) -> Path:
        """Returns the file of a table."""
        return self.directory / f"{table}.parquet"

    def read(self, table: str, columns: list[str] | None = None) -> pa.Table:
        """Reads some columns of a table (all by default) without caching; the schema allows nulls in all columns."""
        found = pq.read_table(self.path(table), columns=columns, partitioning=None)
        return found.cast(pa.schema([field.with_nullable(True) for field in found.schema]))

    def batches(self, table: str, column: str) -> Iterator[pa.Array]:
        """Yields the values of a column in batches, so that memory does not grow with the table."""
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

    @property
    def holds_out(self) -> bool:
        """Whether items are held out at each user's own time (leave-one-out) instead of a span of time."""
        return (self.directory / HELD_OUT_FILE).is_file()

    @property
    def asks_next(self) -> bool:
        """Whether models are asked only for the next event of a user: the tables of leave-one-out's models."""
        return bool(self.description.get("asks_next", False))

    @cached_property
    def held_out(self) -> pa.Table:
        """Positive events that leave-one-out asks for, in the order of time, with their roles.

        `rank`: a target of the ranker, which the interactions contain too. `validation` and `test`: events after all
        interactions of the user.
        """
        return pq.read_table(self.directory / HELD_OUT_FILE, partitioning=None)

    @cached_property
    def config(self) -> DatasetConfig:
        """The dataset's `dataset.toml`."""
        return DatasetConfig.model_validate(self.description["config"])

    @cached_property
    def split(self) -> Split:
        """Boundaries in time."""
        return Split.model_validate(self.description["split"])

    @cached_property
    def time_scales(self) -> TimeScales:
        """Life of items, length of visits, time until users return."""
        return TimeScales.model_validate(self.description["time_scales"])

    @property
    def objectives(self) -> tuple[str, ...]:
        """Objectives, weakest first."""
        return self.config.objective_names

    @property
    def num_rows(self) -> dict[str, int]:
        """Number of rows of each table."""
        return {table: int(self.description["num"][table]) for table in TABLES}

    @property
    def has_slates(self) -> bool:
        """Whether any request showed more than one item."""
        return bool(self.description["has_slates"])

    @property
    def has_sessions(self) -> bool:
        """Whether events outside of slates are grouped by session: true if the dataset itself has no slates.

        A served log adds slates to any dataset, but the earlier history still consists of sessions.
        """
        return not self.description["has_own_slates"]

    @property
    def has_positions(self) -> bool:
        """Whether any impression has a position."""
        return bool(self.description["has_positions"])


def item_universe(tables: PreparedTables) -> npt.NDArray[np.object_]:
    """The row map: all item ids of all tables, held-out items included, as text [m], sorted by code point."""
    ids: set[str] = set(tables.held_out["item_id"].to_pylist()) if tables.holds_out else set()
    for table in ("items", "interactions", "impressions"):
        for values in tables.batches(table, "item_id"):
            ids.update(value for value in pc.unique(values).to_pylist() if value is not None)
    return np.array(sorted(ids), dtype=object)


def unix_micros(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Returns a timestamp column without nulls as whole microseconds [n]."""
    return np.asarray(pc.cast(column, pa.int64()).to_numpy(), dtype=np.int64)


def unix_seconds(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Returns a timestamp column as unix seconds [n]; null becomes NaN."""
    micros = pc.cast(pc.cast(column, pa.int64()), pa.float64(), safe=False)
    seconds: npt.NDArray[np.float64] = np.asarray(micros.to_numpy(), dtype=np.float64) / 1e6
    return seconds
