"""A click log of short-lived articles, in which attention of the moment and personal taste decide together.

About 8,000 readers click 19,000 articles within 18 days, no article twice. An article's attention rises within half an
hour and halves every few hours; stories lift all of their articles. A click is drawn in proportion to the exponential
of three parts: the attention of the moment, the closeness of the article to the reader's taste (topics and authors),
and the closeness to the articles that the reader clicked last. Each reader has one or two usual hours of the day and
clicks a few articles a session. Titles are made of words of the topic, and of the place and name of the story.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from components.marketplace.logs.draws import best, drawn
from components.marketplace.logs.news.articles import HOUR, NUM_DIMENSIONS, Articles, make_articles
from components.marketplace.logs.news.config import NewsConfig
from components.marketplace.logs.news.readers import PAUSE_SECONDS, Readers, make_readers
from components.marketplace.world.catalogue import Floats, Ints
from components.marketplace.world.chance import FloatColumn, generator
from feature_repo.dataset.split import DAY

TASTE, MOOD = 5.0, 2.5  # logits of an article in the direction of taste and of the last clicks
MOOD_MEMORY, NEXT_SESSION = 0.6, 0.4  # share of the mood that remains after a click, and until the next session
WINDOW = 72 * HOUR  # older articles are not offered
STEP = 600.0  # seconds: attention is taken at the start of a step
ORACLE_ITEMS = 100


@dataclass(frozen=True, slots=True)
class Clicks:
    """The clicks of the log, in no order, and the lists of the oracle.

    Attributes:
        sessions, items: Rows [clicks].
        times: Unix seconds [clicks].
        queries: Sessions of the last day but one [queries].
        oracle: Articles by true probability at the start of these sessions [queries, at most 100].
    """

    sessions: Ints
    items: Ints
    times: FloatColumn
    queries: Ints
    oracle: Ints


class NewsWorld:
    """The articles, the readers, and the true probabilities of their clicks."""

    def __init__(self, config: NewsConfig) -> None:
        self.config = config
        self.articles: Articles = make_articles(config)
        self.readers: Readers = make_readers(config, self.articles)
        self._read = np.zeros((len(self.readers), len(self.articles)), dtype=bool)
        self._mood = np.zeros((len(self.readers), NUM_DIMENSIONS), dtype=np.float32)

    @cached_property
    def clicks(self) -> Clicks:
        """All clicks. Sessions that start in the same ten minutes run together; a reader has one of them at most."""
        people, random = self.readers, generator(self.config.seed, "click")
        ends = np.cumsum(people.session_clicks)
        begins = ends - people.session_clicks
        items = np.empty(int(ends[-1]), dtype=np.int64)
        queries, lists = [], []
        steps, first = np.unique(np.floor(people.session_start / STEP), return_index=True)
        for step, low, high in zip(steps, first, np.append(first[1:], len(people.session_start)), strict=True):
            sessions = np.arange(low, high)
            offered = self._offered(step * STEP)
            attention = self.articles.attention(offered, step * STEP)
            self._mood[people.session_user[sessions]] *= NEXT_SESSION
            for click in range(int(people.session_clicks[sessions].max())):
                sessions = sessions[people.session_clicks[sessions] > click]
                users = people.session_user[sessions]
                weights = self._weights(users, offered, attention)
                if click == 0 and self.config.log_end - 2 * DAY <= step * STEP < self.config.log_end - DAY:
                    queries.append(sessions)
                    lists.append(offered.start + best(weights, ORACLE_ITEMS))
                chosen = offered.start + drawn(random, weights)
                items[begins[sessions] + click] = chosen
                self._read[users, chosen] = True
                self._mood[users] = MOOD_MEMORY * self._mood[users] + (1 - MOOD_MEMORY) * self.articles.vectors[chosen]
        sessions = np.repeat(np.arange(len(ends)), people.session_clicks)
        return Clicks(
            sessions=sessions,
            items=items,
            times=self._times(random, sessions, begins),
            queries=np.concatenate(queries),
            oracle=np.concatenate(lists),
        )

    def _offered(self, time: float) -> slice:
        """Rows of the articles that were published in the WINDOW before a time."""
        low, high = np.searchsorted(self.articles.published_at, [time - WINDOW, time])
        return slice(int(low), int(high))

    def _weights(self, users: Ints, offered: slice, attention: Floats) -> Floats:
        """Weights of the offered articles for readers [n, k]; 0 for articles that they read."""
        direction = TASTE * self.readers.taste[users] + MOOD * self._mood[users]
        weights = direction @ self.articles.vectors[offered].T
        weights += attention
        np.exp(weights, out=weights)
        weights[self._read[users, offered]] = 0.0
        return weights

    def _times(self, random: np.random.Generator, sessions: Ints, begins: Ints) -> FloatColumn:
        """Unix seconds of all clicks: the first at the start of its session, the others after pauses."""
        pauses = np.maximum(np.rint(PAUSE_SECONDS * np.exp(0.8 * random.standard_normal(len(sessions)))), 1.0)
        passed = np.cumsum(pauses)
        times: FloatColumn = self.readers.session_start[sessions] + passed - passed[begins][sessions]
        return times
