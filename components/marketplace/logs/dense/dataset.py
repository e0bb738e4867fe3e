"""Converts the dense world to the dataset contract."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from components.marketplace.logs.dense.audience import Audience
from components.marketplace.logs.dense.config import DenseConfig
from components.marketplace.logs.dense.films import Films
from components.marketplace.logs.dense.world import DenseWorld, Taken
from components.marketplace.logs.log import SimulatedLog, ids, moments, oracle_table, words
from components.marketplace.logs.words import GENRES
from components.marketplace.world.chance import generator
from components.marketplace.world.vocabulary import AGE_GROUPS, COUNTRIES, GENDERS

RATING_EDGES = (-0.3, 0.1, 0.4, 0.65)  # affinity plus noise between the ratings 1 to 5


def dense_log(config: DenseConfig) -> SimulatedLog:
    """The dense log of a configuration."""
    world = DenseWorld(config)
    people, films, taken = world.audience, world.films, world.taken
    # Ids are dealt out at random: the rows of users are ordered by activity.
    random = generator(config.seed, "missing")
    user_ids = ids("u", random.permutation(len(people)), 5)
    item_ids = ids("f", np.arange(len(films)), 5)
    last = people.starts + people.num_events - 1
    return SimulatedLog(
        tables={
            "interactions": _interactions(config, world, (user_ids, item_ids)),
            "items": _items(films, item_ids),
            "users": _users(people, user_ids),
        },
        settings=_settings(config),
        oracle=oracle_table(user_ids, people.times[last], taken.oracle, item_ids),
        facts=_facts(taken, taken.items[last]),
    )


def _interactions(config: DenseConfig, world: DenseWorld, names: tuple[pa.Array, pa.Array]) -> pa.Table:
    """Ratings by time; the order of a user's events is kept."""
    people, taken = world.audience, world.taken
    order = np.argsort(people.times, kind="stable")
    noise = 0.25 * generator(config.seed, "quantity").standard_normal(len(order))
    rating = 1.0 + np.searchsorted(RATING_EDGES, taken.affinity + noise)
    sitting = np.cumsum(people.begins) - 1
    return pa.table(
        {
            "user_id": names[0].take(pa.array(taken.users[order])),
            "item_id": names[1].take(pa.array(taken.items[order])),
            "event_type": pa.array(["rating"], pa.string()).take(pa.array(np.zeros(len(order), dtype=np.int64))),
            "timestamp": moments(people.times[order]),
            "value": pa.array(rating[order]),
            "session_id": ids("s", sitting[order], 6),
        }
    )


def _items(films: Films, item_ids: pa.Array) -> pa.Table:
    return pa.table(
        {
            "item_id": item_ids,
            "title": pa.array(films.titles, pa.string()),
            "category": words(GENRES, films.genre),
            "second_genre": words(GENRES, films.second_genre),
            "year": pa.array(films.year.astype(np.float64)),
            "created_at": moments(films.created_at),
        }
    )


def _users(people: Audience, user_ids: pa.Array) -> pa.Table:
    return pa.table(
        {
            "user_id": user_ids,
            "country": words(tuple(country.name for country in COUNTRIES), people.country),
            "age_group": words(AGE_GROUPS, people.age_group),
            "gender": words(GENDERS, people.gender),
        }
    )


def _settings(config: DenseConfig) -> str:
    return f"""# A simulated dense log of ratings, size {config.size}, seed {config.seed}.
# What is known of it stands in truth/.
name = "simulated-{config.size}"

[objectives]
engage = ["rating"]

[features.items]
categorical = ["second_genre"]
numerical = ["year"]

[recommend]
repeats = "never"

[quality]
maximum_daily_events = {config.maximum_events + 1}
"""


def _facts(taken: Taken, last: np.ndarray) -> dict[str, object]:
    """How often the oracle's first ten films hold the last film of a user."""
    hits = taken.oracle[:, :10] == last[:, None]
    gain = hits @ (1.0 / np.log2(np.arange(2, 2 + hits.shape[1])))
    return {
        "oracle": {"hr@10": round(float(hits.any(axis=1).mean()), 4), "ndcg@10": round(float(gain.mean()), 4)},
    }
