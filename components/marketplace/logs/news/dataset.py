"""Converts the news world to the dataset contract."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from components.marketplace.logs.log import SimulatedLog, ids, moments, oracle_table, words
from components.marketplace.logs.news.config import NewsConfig
from components.marketplace.logs.news.world import NewsWorld
from components.marketplace.logs.words import TOPICS
from components.marketplace.world.chance import generator
from components.marketplace.world.vocabulary import AGE_GROUPS, COUNTRIES, DEVICES
from feature_repo.dataset.split import DAY


def news_log(config: NewsConfig) -> SimulatedLog:
    """The news log of a configuration."""
    world = NewsWorld(config)
    clicks, people = world.clicks, world.readers
    random = generator(config.seed, "missing")
    user_ids = ids("u", random.permutation(len(people)), 5)
    item_ids = ids("a", np.arange(len(world.articles)), 5)
    reader = people.session_user[clicks.queries]
    return SimulatedLog(
        tables={
            "interactions": _interactions(world, user_ids, item_ids),
            "items": _items(world, item_ids),
            "users": _users(world, user_ids),
        },
        settings=_settings(config),
        oracle=oracle_table(
            user_ids.take(pa.array(reader)), people.session_start[clicks.queries], clicks.oracle, item_ids
        ),
        facts={"oracle": {"ndcg@20": _oracle_gain(world)}},
    )


def _interactions(world: NewsWorld, user_ids: pa.Array, item_ids: pa.Array) -> pa.Table:
    """Clicks by time; clicks after the log's end are left out."""
    clicks, people = world.clicks, world.readers
    order = np.argsort(clicks.times, kind="stable")
    order = order[clicks.times[order] < world.config.log_end]
    sessions = clicks.sessions[order]
    return pa.table(
        {
            "user_id": user_ids.take(pa.array(people.session_user[sessions])),
            "item_id": item_ids.take(pa.array(clicks.items[order])),
            "event_type": words(("click",), np.zeros(len(order), dtype=np.int64)),
            "timestamp": moments(clicks.times[order]),
            "session_id": ids("s", sessions, 6),
            "device": words((DEVICES[1], DEVICES[0]), people.session_mobile[sessions]),
        }
    )


def _items(world: NewsWorld, item_ids: pa.Array) -> pa.Table:
    articles = world.articles
    return pa.table(
        {
            "item_id": item_ids,
            "title": pa.array(articles.titles, pa.string()),
            "description": pa.array(articles.descriptions, pa.string()),
            "category": words(tuple(TOPICS), articles.topic),
            "seller_id": ids("author-", articles.author, 3),
            "created_at": moments(articles.published_at),
        }
    )


def _users(world: NewsWorld, user_ids: pa.Array) -> pa.Table:
    people = world.readers
    return pa.table(
        {
            "user_id": user_ids,
            "country": words(tuple(country.name for country in COUNTRIES), people.country),
            "age_group": words(AGE_GROUPS, people.age_group),
            "signup_at": moments(people.signup_at),
        }
    )


def _oracle_gain(world: NewsWorld) -> float:
    """Mean NDCG@20 of the oracle's lists: relevant is what the reader clicks within 24 hours after the query."""
    clicks, people = world.clicks, world.readers
    readers = people.session_user[clicks.sessions]
    order = np.lexsort((clicks.times, readers))
    times, items = clicks.times[order], clicks.items[order]
    begins = np.searchsorted(readers[order], np.arange(len(people) + 1))
    discounts = 1.0 / np.log2(np.arange(2, 22))
    gains = []
    for session, ranked in zip(clicks.queries, clicks.oracle[:, : len(discounts)], strict=True):
        own = slice(*begins[people.session_user[session] + np.arange(2)])
        asked = people.session_start[session]
        low, high = np.searchsorted(times[own], [asked, asked + DAY])
        relevant = items[own][low:high]
        ideal = discounts[: len(relevant)].sum()
        gains.append(float(discounts[: len(ranked)][np.isin(ranked, relevant)].sum() / ideal))
    return round(float(np.mean(gains)), 4)


def _settings(config: NewsConfig) -> str:
    return f"""# A simulated click log of short-lived articles, size {config.size}, seed {config.seed}.
# What is known of it stands in truth/.
name = "simulated-{config.size}"

[objectives]
click = ["click"]

[recommend]
repeats = "never"
"""
