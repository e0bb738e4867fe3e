"""A log in which users have a taste: each belongs to one of four groups of items, some items are popular."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from components.features import build_features
from feature_repo.dataset.config import DatasetConfig
from tests.kit.prepared_tables import START, config, event, write_prepared

DAY = 86_400.0
DAYS = 40
NUM_TASTES = 4


def settings(repeats: str = "never") -> DatasetConfig:
    return config(
        text={"encoder": "tfidf"},
        features={"items": {"numerical": ["weight"]}, "users": {"categorical": ["club"], "numerical": ["points"]}},
        recommend={"repeats": repeats},
        split={"validation_days": 5, "test_days": 5},
    )


def rows(num_users: int = 120, num_items: int = 160, num_events: int = 4_000, seed: int = 0) -> dict[str, list[Any]]:
    """Item i is of taste i % 4, user u of taste u % 4; a user takes eight of ten items from their taste."""
    rng = np.random.default_rng(seed)
    popularity = 1 / (1 + np.arange(num_items // NUM_TASTES))
    popularity /= popularity.sum()
    events = []
    for number, day in enumerate(np.sort(rng.uniform(0, DAYS, num_events))):
        user = int(rng.integers(num_users))
        taste = user % NUM_TASTES if rng.random() < 0.8 else int(rng.integers(NUM_TASTES))
        item = int(rng.choice(num_items // NUM_TASTES, p=popularity)) * NUM_TASTES + taste
        events.append(
            event(
                number,
                user_id=f"u{user:03d}",
                item_id=f"i{item:03d}",
                timestamp=START + timedelta(days=float(day)),
                event_type="purchase" if rng.random() < 0.2 else "click",
                device=("phone", None)[number % 2],
            )
        )
    items = [
        {
            "item_id": f"i{number:03d}",
            "title": f"{('lamp', 'mug', 'bag', 'chair')[number % NUM_TASTES]} number {number}",
            "category": "abcd"[number % NUM_TASTES],
            "price": 5.0 + number % 7,
            "weight": float(number),
        }
        for number in range(num_items + 4)  # the last four were never sold
    ]
    users = [
        {"user_id": f"u{number:03d}", "club": f"c{number % 3}", "points": float(number), "country": "SE"}
        for number in range(num_users)
    ]
    return {"interactions": events, "items": items, "users": users}


def write(directory: Path, repeats: str = "never", **sizes: int) -> tuple[Path, Path]:
    """Tables and features of `rows`."""
    tables, features = directory / "tables", directory / "features"
    tables.mkdir(parents=True)
    write_prepared(tables, settings(repeats), **rows(**sizes))
    build_features(tables, features)
    return tables, features
