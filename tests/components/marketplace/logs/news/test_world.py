"""In the news world articles live for hours, and taste counts next to the attention of the moment."""

from __future__ import annotations

import numpy as np
import pytest

from components.marketplace.logs.news.config import NewsConfig
from components.marketplace.logs.news.world import NewsWorld
from components.marketplace.logs.words import TOPICS
from feature_repo.dataset.split import DAY

HOUR = 3_600.0


@pytest.fixture(scope="module")
def world() -> NewsWorld:
    return NewsWorld(
        NewsConfig.model_validate(
            {"size": "news", "num_users": 1_500, "num_items": 3_000, "num_days": 7, "mean_sessions": 12.0}
        )
    )


def test_the_oracle_beats_recent_popularity_clearly(world: NewsWorld) -> None:
    clicks, people = world.clicks, world.readers
    readers = people.session_user[clicks.sessions]
    hits = {"oracle": 0, "popular": 0}
    for session, ranked in list(zip(clicks.queries, clicks.oracle, strict=True))[::3]:
        now, own = people.session_start[session], readers == people.session_user[session]
        relevant = clicks.items[own & (clicks.times >= now) & (clicks.times < now + DAY)]
        recent = clicks.items[(clicks.times >= now - 4 * HOUR) & (clicks.times < now)]
        count = np.bincount(recent, minlength=len(world.articles))
        count[clicks.items[own & (clicks.times < now)]] = 0
        hits["oracle"] += len(np.intersect1d(relevant, ranked[:20]))
        hits["popular"] += len(np.intersect1d(relevant, np.argsort(-count)[:20]))
    assert hits["oracle"] > 1.4 * hits["popular"] > 100


def test_half_of_the_clicks_fall_on_articles_of_a_few_hours(world: NewsWorld) -> None:
    age = (world.clicks.times - world.articles.published_at[world.clicks.items]) / HOUR
    assert age.min() >= 0
    assert 4 < np.median(age) < 14
    assert np.quantile(age, 0.9) < 48


def test_attention_rises_and_then_halves_with_the_half_life(world: NewsWorld) -> None:
    articles = world.articles
    row = slice(100, 101)
    start, half = articles.published_at[100], float(articles.half_life[100])
    attention = [float(articles.attention(row, start + HOUR * hours)[0]) for hours in (0.1, 4.0, 4.0 + half)]
    assert attention[0] < attention[1]
    assert attention[1] - attention[2] == pytest.approx(np.log(2), abs=0.01)


def test_readers_come_at_their_hours(world: NewsWorld) -> None:
    hour = np.bincount((world.readers.session_start % DAY // HOUR).astype(int), minlength=24)
    assert hour[[7, 12, 20]].min() > 5 * hour[[2, 3]].max()


def test_titles_hold_words_of_the_topic(world: NewsWorld) -> None:
    names = list(TOPICS)
    named = [
        any(word in title for word in TOPICS[names[topic]])
        for title, topic in zip(world.articles.titles, world.articles.topic, strict=True)
    ]
    assert np.mean(named) == 1
