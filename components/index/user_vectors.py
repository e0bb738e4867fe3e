"""User vectors as queries for measuring the recall of an item index.

Item vectors would overstate the recall: they lie where graphs and clusters work best, while user vectors lie between
items.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np

from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.state import FloatArray
from feature_repo.storage.quoting import parquet_scan
from inference.candidates.query import Query
from inference.feature_store.historical import HistoricalFeatures
from inference.models.encoder import UserEncoder

MAXIMUM_USERS = 200


def user_vectors(
    tables: PreparedTables, features_dir: Path, towers_dir: Path, until: float, *, size: int = MAXIMUM_USERS
) -> FloatArray:
    """Embeddings of a deterministic sample of the users with an event before a given time.

    Args:
        tables: Clean prepared tables.
        features_dir: Features of the tables.
        towers_dir: Towers whose user tower computes the embeddings.
        until: Unix seconds, the time of the queries.
        size: Maximum number of users.

    Returns:
        Vectors [s, d], s <= size.
    """
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.sql(f"FROM {parquet_scan(tables.path('interactions'))}").create_view("interactions")
        drawn = connection.execute(
            """
            SELECT user_id FROM interactions WHERE epoch(timestamp) < $until
            GROUP BY user_id ORDER BY hash(user_id), user_id LIMIT $size
            """,
            {"until": until, "size": size},
        ).fetchall()
    user_ids = [user_id for (user_id,) in drawn]
    with HistoricalFeatures(features_dir) as reader:
        users = reader.users(user_ids, np.full(len(user_ids), until))
    vectors = UserEncoder.load(towers_dir).encode(users, [Query(user_id, until) for user_id in user_ids])
    return np.asarray(vectors[users.known], dtype=np.float32)
