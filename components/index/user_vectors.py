"""Users as the index will be asked for them: vectors to measure its recall with.

Items ask an index for their own neighbourhood, where graphs and clusters are best; users ask from between items.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np

from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.state import FloatArray
from inference.candidates.query import Query
from inference.feature_store.historical import HistoricalFeatures
from inference.models.encoder import UserEncoder

NUM_ASKED = 200


def user_vectors(
    tables: PreparedTables, features_dir: Path, towers_dir: Path, until: float, *, size: int = NUM_ASKED
) -> FloatArray:
    """Embeddings of users drawn from those with an event before a time, the same ones on every call.

    Args:
        tables: Clean prepared tables.
        features_dir: Their features.
        towers_dir: Whose user tower embeds them.
        until: Unix seconds, the time they ask at.
        size: Users drawn at most.

    Returns:
        Vectors [s, d], s <= size.
    """
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.read_parquet(str(tables.path("interactions"))).create_view("interactions")
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
