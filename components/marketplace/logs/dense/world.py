"""A dense log in which the order of a user's events carries information.

About 6,000 users take 170 of 3,400 films each, none of them twice. A choice is one of two kinds:

- It follows one of the user's last five films (`follow_share` of choices; the last film counts most): a successor of
  that film, with the next part of a series first. Successors have a direction, and taste decides among them.
- It follows taste: fame (long-tailed popularity, which counts more for some users than for others), the user's taste,
  which turns over the user's life, and the mood of the sitting, an average of the last films' vectors.

Most users act in a single long sitting of seconds between events, others return days to months later. They arrive over
three years, most of them early, so that the log dies out. A few films appear during the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from components.marketplace.logs.dense.audience import Audience, make_audience
from components.marketplace.logs.dense.config import DenseConfig
from components.marketplace.logs.dense.films import NUM_DIMENSIONS, Films, make_films
from components.marketplace.logs.draws import best, drawn
from components.marketplace.world.catalogue import Floats, Ints
from components.marketplace.world.chance import generator

ANCHORS = (0.45, 0.25, 0.15, 0.1, 0.05)  # which of the last films a choice follows, the last film first
TASTE, MOOD = 9.0, 5.0  # logits of a film in the direction of taste and mood
FOLLOW_TASTE = 11.0  # the same for taste among successors
MOOD_MEMORY = 0.8  # share of the mood that remains after an event
ROWS = 256  # users scored at once: the weights of a chunk fit into the processor's cache
ORACLE_ITEMS = 100


@dataclass(frozen=True, slots=True)
class Taken:
    """The events of the log, user by user in the order of their events, and the lists of the oracle.

    Attributes:
        users, items: Rows [events].
        affinity: Closeness of each film to taste at that time, from -1 to 1 [events].
        oracle: Films by true probability before each user's last event, the most probable first [users, at most 100].
    """

    users: Ints
    items: Ints
    affinity: Floats
    oracle: Ints


class DenseWorld:
    """The films, the audience, and the true probabilities of its choices."""

    def __init__(self, config: DenseConfig) -> None:
        self.config = config
        self.films: Films = make_films(config)
        self.audience: Audience = make_audience(config, self.films)
        num = len(self.audience)
        # Films that a user can take now: available and not taken yet. Weights are multiplied by it.
        self._open = np.zeros((num, len(self.films)), dtype=np.float32)
        self._mood = np.zeros((num, NUM_DIMENSIONS), dtype=np.float32)
        self._last = np.full((num, len(ANCHORS)), -1, dtype=np.int64)
        self._seen_until = np.full(num, -np.inf)

    @cached_property
    def taken(self) -> Taken:
        """All events. Users make their n-th choice together, because users do not depend on each other."""
        people, films = self.audience, self.films
        items = np.empty(len(people.times), dtype=np.int64)
        affinity = np.empty(len(people.times), dtype=np.float32)
        oracle = np.empty((len(people), min(ORACLE_ITEMS, len(films))), dtype=np.int64)
        random = generator(self.config.seed, "click")
        for step in range(int(people.num_events[0])):
            active = int(np.searchsorted(-people.num_events, -step, side="left"))
            for first in range(0, active, ROWS):
                users = np.arange(first, min(first + ROWS, active))
                events = people.starts[users] + step
                self._sit_down(users, events)
                taste = people.taste(users, step)
                leaving = np.flatnonzero(people.num_events[users] == step + 1)
                if len(leaving):
                    chances = self._probabilities(users[leaving], taste[leaving])
                    oracle[users[leaving]] = best(chances, ORACLE_ITEMS)
                items[events] = self._choices(random, users, taste)
                affinity[events] = (taste * films.vectors[items[events]]).sum(axis=1)
                self._remember(users, items[events])
        return Taken(np.repeat(np.arange(len(people)), people.num_events), items, affinity, oracle)

    def _sit_down(self, users: Ints, events: Ints) -> None:
        """At the start of a sitting the mood is neutral, nothing was taken just before, and new films are there."""
        begins = self.audience.begins[events]
        users, now = users[begins], self.audience.times[events[begins]]
        if not len(users):
            return
        self._mood[users], self._last[users] = 0.0, -1
        launched = self.films.created_at[None, :]
        fresh = (launched > self._seen_until[users][:, None]) & (launched <= now[:, None])
        self._open[users] = np.where(fresh, 1.0, self._open[users])
        self._seen_until[users] = now

    def _remember(self, users: Ints, items: Ints) -> None:
        self._open[users, items] = 0.0
        self._mood[users] = MOOD_MEMORY * self._mood[users] + (1 - MOOD_MEMORY) * self.films.vectors[items]
        self._last[users] = np.column_stack([items, self._last[users, :-1]])

    def _by_taste(self, users: Ints, taste: Floats) -> Floats:
        """Weights of all films by taste, mood and fame [n, films]."""
        direction = np.column_stack([TASTE * taste + MOOD * self._mood[users], self.audience.fame_weight[users]])
        weights: Floats = direction.astype(np.float32) @ self._properties
        np.exp(weights, out=weights)
        weights *= self._open[users]
        return weights

    @cached_property
    def _properties(self) -> Floats:
        """Vectors and fame of the films [NUM_DIMENSIONS + 1, films]."""
        return np.ascontiguousarray(np.column_stack([self.films.vectors, self.films.fame]).T)

    def _by_successor(self, users: Ints, taste: Floats, anchors: Ints) -> Floats:
        """Weights of the successors of films `anchors` [n], -1 for none; all 0 where none is open [n, successors]."""
        films = self.films
        following = films.successors[anchors]
        liked = np.einsum("nd,nkd->nk", taste, films.vectors[following])
        weights: Floats = films.pull[anchors] * np.exp(FOLLOW_TASTE * liked)
        weights *= self._open[users[:, None], following]
        weights[anchors < 0] = 0.0
        return weights

    def _choices(self, random: np.random.Generator, users: Ints, taste: Floats) -> Ints:
        """The films that users take next [n]."""
        shares = np.cumsum([self.config.follow_share * share for share in ANCHORS])
        place = np.searchsorted(shares, random.random(len(users)), side="right")
        anchors = np.where(place < len(ANCHORS), self._last[users, np.minimum(place, len(ANCHORS) - 1)], -1)
        following = self._by_successor(users, taste, anchors)
        follows = following.sum(axis=1) > 0
        items = np.empty(len(users), dtype=np.int64)
        at = np.flatnonzero(follows)
        if len(at):
            items[at] = self.films.successors[anchors[at], drawn(random, following[at])]
        at = np.flatnonzero(~follows)
        if len(at):
            items[at] = drawn(random, self._by_taste(users[at], taste[at]))
        return items

    def _probabilities(self, users: Ints, taste: Floats) -> Floats:
        """Probability of every film to be the next choice of users [n, films]."""
        free = np.ones(len(users), dtype=np.float32)  # probability of a choice by taste
        chances = np.zeros((len(users), len(self.films)), dtype=np.float32)
        for place, share in enumerate(ANCHORS):
            anchors = self._last[users, place]
            weights = self._by_successor(users, taste, anchors)
            sums = weights.sum(axis=1, keepdims=True)
            part = self.config.follow_share * share * (sums[:, 0] > 0)
            rows = np.arange(len(users))[:, None]
            chances[rows, self.films.successors[anchors]] += part[:, None] * weights / np.maximum(sums, 1e-30)
            free -= part.astype(np.float32)
        weights = self._by_taste(users, taste)
        chances += free[:, None] * weights / weights.sum(axis=1, keepdims=True)
        return chances
