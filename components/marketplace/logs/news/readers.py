"""The readers of the news log: tastes, and sessions with a daily rhythm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.marketplace.config import LOG_START
from components.marketplace.logs.draws import long_tailed
from components.marketplace.logs.news.articles import HOUR, Articles
from components.marketplace.logs.news.config import NewsConfig
from components.marketplace.world.catalogue import Floats, Ints, unit
from components.marketplace.world.chance import FloatColumn, generator
from components.marketplace.world.vocabulary import AGE_GROUPS, AGE_SHARES, COUNTRIES
from feature_repo.dataset.split import DAY

ACTIVITY_SPREAD = 0.9  # standard deviation of the logarithm of the number of sessions
BEFORE = 0.65  # readers who were there before the log; the others arrive during it
LEAVING = 0.25  # readers who leave for good before the log's end
PEAKS = (7.0, 12.3, 20.5)  # hours at which people read
PEAK_SPREAD = 1.1
WEEKEND = 0.7  # sessions on a Saturday or Sunday, relative to a weekday
CLICK_CHANCE = 0.38  # a session has 1 click and a geometric number of further clicks
PAUSE_SECONDS = 75.0  # median between two clicks of a session
APART = 2 * HOUR  # between the starts of two sessions of a reader


@dataclass(frozen=True, slots=True)
class Readers:
    """n readers as columns, and their sessions by time.

    Attributes:
        country, age_group: Codes [n] into the vocabulary.
        taste: Unit vectors [n, NUM_DIMENSIONS].
        signup_at: Unix seconds [n].
        mobile: Share of sessions on a mobile device [n].
        session_user: Reader of each session, by time.
        session_start: Unix seconds of each session.
        session_clicks: Clicks of each session.
        session_mobile: Whether each session is on a mobile device.
    """

    country: Ints
    age_group: Ints
    taste: Floats
    signup_at: FloatColumn
    session_user: Ints
    session_start: FloatColumn
    session_clicks: Ints
    session_mobile: Ints

    def __len__(self) -> int:
        return len(self.taste)


def make_readers(config: NewsConfig, articles: Articles) -> Readers:
    """The readers of a configuration."""
    random = generator(config.seed, "population")
    num = config.num_users
    age_group = random.choice(len(AGE_GROUPS), size=num, p=AGE_SHARES)
    signup = LOG_START - random.exponential(200.0, size=num) * DAY
    late = random.random(num) > BEFORE
    signup[late] = LOG_START + random.uniform(0, config.num_days - 1.0, size=int(late.sum())) * DAY
    until = np.full(num, config.log_end)
    gone = random.random(num) < LEAVING
    until[gone] = np.maximum(signup, LOG_START)[gone] + random.exponential(0.5, size=int(gone.sum())) * (
        config.num_days * DAY
    )
    user, start = _sessions(random, config, signup, np.minimum(until, config.log_end))
    mobile = random.beta(2.4, 1.2, size=num)
    return Readers(
        country=random.choice(len(COUNTRIES), size=num, p=[country.share for country in COUNTRIES]),
        age_group=age_group,
        taste=_tastes(random, age_group, articles).astype(np.float32),
        signup_at=np.floor(signup),
        session_user=user,
        session_start=start,
        session_clicks=np.minimum(random.geometric(CLICK_CHANCE, size=len(user)), 12),
        session_mobile=(random.random(len(user)) < mobile[user]).astype(np.int64),
    )


def _tastes(random: np.random.Generator, age_group: Ints, articles: Articles) -> Floats:
    """Unit vectors [n, NUM_DIMENSIONS] near three topics, and near two authors, of each reader."""
    kinds = len(articles.topic_vectors)
    leaning = 0.8 * random.standard_normal((len(AGE_GROUPS), kinds))[age_group]
    topics = np.argsort(-(leaning + random.gumbel(size=leaning.shape)), axis=1)[:, :3]
    weight = random.dirichlet([3.0, 2.0, 1.0], size=len(topics))
    taste = np.einsum("nk,nkd->nd", weight, articles.topic_vectors[topics])
    # Favourite authors write about the first topic where it has authors at all.
    liked = random.gumbel(size=(len(topics), len(articles.author_vectors)))
    liked += 3.0 * (articles.author_topic[None, :] == topics[:, :1])
    authors = np.argsort(-liked, axis=1)[:, :2]
    taste += 0.4 * articles.author_vectors[authors].mean(axis=1)
    return unit(taste + 0.06 * random.standard_normal(taste.shape))


def _sessions(
    random: np.random.Generator, config: NewsConfig, since: FloatColumn, until: FloatColumn
) -> tuple[Ints, FloatColumn]:
    """Reader and start of each session, by time; a reader's sessions are APART."""
    num = len(since)
    count = long_tailed(random, num, config.mean_sessions, ACTIVITY_SPREAD, (1, config.maximum_sessions))
    user = np.repeat(np.arange(num), count)
    day = random.integers(0, config.num_days, size=len(user))
    habit = random.integers(0, len(PEAKS), size=(num, 2))  # a reader's one or two hours of the day
    peak = np.array(PEAKS)[habit[user, random.integers(0, 2, size=len(user))]]
    hour = np.clip(peak + PEAK_SPREAD * random.standard_normal(len(user)), 0.0, 23.9)
    start = np.floor(LOG_START + day * DAY + hour * HOUR)
    weekday = (day % 7) < 5  # the log starts on a Monday
    there = (start >= since[user]) & (start < until[user]) & (weekday | (random.random(len(user)) < WEEKEND))
    user, start = user[there], start[there]
    order = np.lexsort((start, user))
    user, start = user[order], start[order]
    close = (np.diff(start, prepend=-np.inf) < APART) & (np.diff(user, prepend=-1) == 0)
    user, start = user[~close], start[~close]
    order = np.argsort(start, kind="stable")
    return user[order], start[order]
