"""A simulated log without impressions: its tables, its `dataset.toml`, and the lists of its oracle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from components.marketplace.dataset.truth import TRUTH, TRUTH_FILE, identity
from components.marketplace.world.catalogue import Ints
from components.marketplace.world.chance import FloatColumn, microseconds
from feature_repo.storage.files import write_json, write_parquet, write_text

TIME = pa.timestamp("us", tz="UTC")
ORACLE_FILE = "oracle.parquet"


@dataclass(frozen=True, slots=True)
class SimulatedLog:
    """The content of a dataset directory.

    Attributes:
        tables: Interactions, items and users of contract 1.
        settings: Text of dataset.toml.
        oracle: For some queries the items of the highest true probability: user_id, timestamp, item_id, rank from 0.
        facts: Written to truth.json next to the configuration.
    """

    tables: dict[str, pa.Table]
    settings: str
    oracle: pa.Table
    facts: dict[str, Any]

    def write(self, config: BaseModel, directory: Path) -> None:
        """Writes all files into `directory`, which must not exist; `config` is what the log is made of."""
        (directory / TRUTH).mkdir(parents=True)
        for name, table in self.tables.items():
            write_parquet(directory / f"{name}.parquet", table)
        rows = {name: len(table) for name, table in self.tables.items()}
        write_text(directory / "dataset.toml", self.settings)
        write_parquet(directory / TRUTH / ORACLE_FILE, self.oracle)
        write_json(directory / TRUTH / TRUTH_FILE, {**identity(config), "num_rows": rows, **self.facts})


def ids(prefix: str, rows: Ints, width: int) -> pa.Array:
    """Ids such as u00042 for row 41."""
    distinct, place = np.unique(rows, return_inverse=True)
    words = pa.array([f"{prefix}{row + 1:0{width}d}" for row in distinct], pa.string())
    return words.take(pa.array(place))


def words(texts: tuple[str, ...], codes: Ints) -> pa.Array:
    """The text of each code."""
    return pa.array(texts, pa.string()).take(pa.array(codes))


def moments(times: FloatColumn) -> pa.Array:
    """Unix seconds as timestamps."""
    return pa.array(microseconds(times), TIME)


def oracle_table(users: pa.Array, times: FloatColumn, lists: Ints, item_ids: pa.Array) -> pa.Table:
    """Lists of the oracle [queries, ranks] as rows."""
    num, length = lists.shape
    query = pa.array(np.repeat(np.arange(num), length))
    return pa.table(
        {
            "user_id": users.take(query),
            "timestamp": moments(times).take(query),
            "item_id": item_ids.take(pa.array(lists.ravel())),
            "rank": pa.array(np.tile(np.arange(length), num)),
        }
    )
