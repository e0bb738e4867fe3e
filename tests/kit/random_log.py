"""Small random logs with everything in them: sessions, labels, prices, returns, histories of content and of profile."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.kit.prepared_tables import START, config, write_prepared

DAYS = 45
NUM_USERS = 12
NUM_ITEMS = 15
SETTINGS = config(
    features={"items": {"numerical": ["weight"], "categorical": ["colour"]}, "users": {"numerical": ["points"]}},
    recommend={"repeats": "always"},
    split={"validation_days": 7, "test_days": 7},
)
KINDS = ("click", "click", "click", "purchase", "purchase", "return", "search")


def interaction(rng: random.Random, number: int, first_day: float = 0.0) -> dict[str, Any]:
    """A random interaction between `first_day` and the log's end."""
    kind = rng.choice(KINDS)
    return {
        "event_id": f"e{number}",
        "user_id": f"u{rng.randrange(NUM_USERS)}",
        "item_id": f"i{rng.randrange(NUM_ITEMS + 2)}",  # the last two have no content
        "event_type": kind,
        "timestamp": START + timedelta(days=rng.uniform(first_day, DAYS - 0.01)),
        "price": rng.choice([None, round(rng.uniform(1, 90), 2)]),
        "quantity": rng.choice([None, 1.0, 3.0]),
        "session_id": rng.choice([None, f"s{rng.randrange(40)}"]),
        "country": rng.choice(["SE", "IN", None]),
        "device": rng.choice(["phone", None]),
        "surface": "home",
    }


def impression(rng: random.Random, number: int, first_day: float = 0.0) -> dict[str, Any]:
    """A random impression, its labels by chance."""
    clicked = int(rng.random() < 0.3)
    return {
        "request_id": f"r{number // 4}",
        "user_id": f"u{rng.randrange(NUM_USERS)}",
        "item_id": f"i{rng.randrange(NUM_ITEMS)}",
        "timestamp": START + timedelta(days=rng.uniform(first_day, DAYS - 0.01)),
        "label_click": clicked,
        "label_convert": clicked * int(rng.random() < 0.3),
        "surface": "home",
    }


def rows(seed: int, num_events: int = 400) -> dict[str, list[dict[str, Any]]]:
    """Rows of all tables; the last event pins the log's end."""
    rng = random.Random(seed)
    last = {**interaction(rng, 0), "timestamp": START + timedelta(days=DAYS), "event_type": "click"}
    first = {**interaction(rng, 1), "timestamp": START, "event_type": "click"}
    items = []
    for number in range(NUM_ITEMS):
        item: dict[str, Any] = {
            "item_id": f"i{number}",
            "title": f"thing {number}",
            "category": rng.choice(["a", "b", None]),
            "brand": f"b{number % 3}",
            "seller_id": f"s{number % 4}",
            "price": rng.choice([None, 10.0, 25.0]),
            "created_at": rng.choice([None, START - timedelta(days=number)]),
            "in_stock": rng.choice([None, True, False]),
            "rating": 4.0,
            "num_ratings": 7.0,
            "regions": rng.choice([None, "SE|IN"]),
            "weight": 1.5 * number,
            "colour": rng.choice(["red", "blue"]),
        }
        items.append(item)
        if number % 3 == 0:
            changed = START + timedelta(days=rng.uniform(20, 44))
            items.append({**item, "price": 99.0, "in_stock": False, "category": "c", "valid_from": changed})
    users = []
    for number in range(NUM_USERS + 3):  # three users never do anything
        user: dict[str, Any] = {
            "user_id": f"u{number}",
            "country": rng.choice(["SE", "IN", None]),
            "signup_at": START - timedelta(days=5),
        }
        users.append({**user, "points": float(number)})
        if number % 4 == 0:
            moved = START + timedelta(days=rng.uniform(20, 44))
            users.append({**user, "country": "NO", "points": -1.0, "valid_from": moved})
    return {
        "interactions": [first, *(interaction(rng, number) for number in range(2, num_events)), last],
        "impressions": [impression(rng, number) for number in range(num_events)],
        "items": items,
        "users": users,
    }


def write(directory: Path, tables: dict[str, list[dict[str, Any]]]) -> Path:
    """Prepared tables of `rows`."""
    directory.mkdir(parents=True, exist_ok=True)
    return write_prepared(directory, SETTINGS, **tables)
