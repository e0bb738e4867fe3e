"""The small world's features in a real online store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from feature_repo.features.directory import FeaturesDirectory
from feature_repo.features.feature_set import HISTORY_ARRAYS, FeatureSet
from feature_repo.storage.files import write_parquet
from inference.feature_store import StoreSettings, materialize
from tests.kit import world

STAMP = datetime.fromtimestamp(world.NOW - world.DAY, UTC)


def fill_store(features_dir: Path, settings: StoreSettings, features: FeatureSet | None = None) -> None:
    """Writes snapshots of every user and item of the world and materialises them, for the world's feature set."""
    features = features or world.feature_set()
    snapshots = FeaturesDirectory(features_dir).snapshots
    users = [f"u{number}" for number in range(world.NUM_USERS)]
    columns = world.Store(features).users(users, np.full(len(users), world.NOW))
    stamps = pa.array([STAMP] * len(users), pa.timestamp("us", tz="UTC"))
    numeric = {name: pa.array(columns.numeric[:, place]) for place, name in enumerate(features.user_numeric)}
    ages = [world.AGES[code - 1] if code else None for code in columns.categorical[:, 1]]
    write_parquet(
        snapshots / "user_stats.parquet",
        pa.table(
            {
                "user_id": users,
                "event_timestamp": stamps,
                **numeric,
                "country": columns.country.tolist(),
                "age_group": ages,
            }
        ),
    )
    arrays: dict[str, list[list]] = {name: [] for name in HISTORY_ARRAYS}
    for place in range(len(users)):
        for prefix, part in (("history", columns.history), ("own", columns.own)):
            span = slice(int(part.offsets[place]), int(part.offsets[place + 1]))
            arrays[f"{prefix}_ids"].append([world.item_id(row) for row in part.rows[span]])
            for name in HISTORY_ARRAYS:
                side, _, column = name.partition("_")
                if side == prefix and column != "ids":
                    arrays[name].append(getattr(part, column)[span].astype(float).tolist())
    write_parquet(snapshots / "user_history.parquet", pa.table({"user_id": users, "event_timestamp": stamps, **arrays}))
    items = world.items()
    ids = items.item_ids.tolist()
    write_parquet(
        snapshots / "item_stats.parquet",
        pa.table(
            {
                "item_id": ids,
                "event_timestamp": pa.array([STAMP] * len(ids), pa.timestamp("us", tz="UTC")),
                **{name: pa.array(items.numeric[:, place]) for place, name in enumerate(features.item_numeric)},
                "price": pa.array(items.price.astype(float)),
                "in_stock": pa.array(items.available),
                "created_at": pa.array(items.created_at, from_pandas=True),
                "regions": items.regions.tolist(),
                "min_age": pa.array(items.min_age.astype(float)),
                "category": [world.CATEGORIES[row % 4] for row in range(len(ids))],
            }
        ),
    )
    materialize(features_dir, features, settings, world.NOW)
