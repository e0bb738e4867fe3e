"""Positive events of clean tables as codes: the input of neighbours and popularity."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.state import IntArray, TimeArray
from feature_repo.storage.quoting import parquet_scan


@dataclass(frozen=True, slots=True)
class Events:
    """n positive events in order of time.

    Attributes:
        users: Code of the user [n].
        sessions: Code of the session [n]; of the user's day if the log has no sessions.
        rows: Item row [n].
        times: Unix seconds [n].
        grades: Objective grade [n], 1 the weakest.
        countries: Country of the event, else the user's country at the time, else "" [n].
    """

    users: IntArray
    sessions: npt.NDArray[np.int64]
    rows: IntArray
    times: TimeArray
    grades: npt.NDArray[np.int8]
    countries: npt.NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def read(cls, tables: PreparedTables, item_ids: npt.NDArray[np.object_]) -> Events:
        """Reads every positive event on an item of the row map.

        Args:
            tables: Clean prepared tables; they may know more items, as in a refresh of an older bundle.
            item_ids: The row map [m].
        """
        row_map = pa.table({"item_id": pa.array(item_ids, pa.string()), "item_row": np.arange(len(item_ids))})
        with duckdb.connect(config={"threads": 2}) as connection:
            connection.register("row_map", row_map)
            for table in ("interactions", "users"):
                connection.sql(f"FROM {parquet_scan(tables.path(table))}").create_view(table)
            found = connection.sql(
                """
                SELECT dense_rank() OVER (ORDER BY i.user_id) - 1 AS user_code,
                       dense_rank() OVER (
                           ORDER BY i.user_id, coalesce(session_id, floor(epoch(timestamp) / 86400)::BIGINT::VARCHAR)
                       ) - 1 AS session_code,
                       item_row, epoch(timestamp) AS time, grade, coalesce(i.country, u.country, '') AS country
                FROM interactions i JOIN row_map m ON i.item_id = m.item_id
                ASOF LEFT JOIN (
                    SELECT user_id, coalesce(valid_from, '-infinity'::TIMESTAMPTZ) AS since,
                           last(country ORDER BY row) AS country
                    FROM users GROUP BY ALL
                ) u ON i.user_id = u.user_id AND i.timestamp >= u.since
                WHERE grade > 0 ORDER BY timestamp, row
                """
            ).to_arrow_table()
        return cls(
            users=found["user_code"].to_numpy().astype(np.int32),
            sessions=found["session_code"].to_numpy().astype(np.int64),
            rows=found["item_row"].to_numpy().astype(np.int32),
            times=found["time"].to_numpy(),
            grades=found["grade"].to_numpy().astype(np.int8),
            countries=found["country"].to_numpy(zero_copy_only=False).astype(object),
        )
