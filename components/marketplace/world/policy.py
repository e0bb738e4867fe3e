"""The logging policy: the shop's former recommender, a mixture of popularity, noisy taste, and exploration.

A slate is drawn item by item without replacement from a mixture over the whole catalogue (Plackett-Luce). The logged
propensity is therefore exact: the probability that an item is shown at its position, given the user, the time and the
items above it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.marketplace.config import LOG_START
from components.marketplace.world.catalogue import Floats, Ints
from components.marketplace.world.chance import FloatColumn, generator
from components.marketplace.world.events import CLICK, SimulatedEvents
from components.marketplace.world.vocabulary import COUNTRIES
from components.marketplace.world.world import World
from feature_repo.dataset.split import DAY

SLATE_SIZE = {"home": 10, "similar": 6, "email": 8}
TASTE_SHARE, EXPLORATION_SHARE = 0.55, 0.15  # the rest is popularity; unknown users get popularity instead of taste
TEMPERATURE = 0.7  # of the taste softmax over utilities in logits
BLUR = 0.45  # standard deviation of the error in the policy's estimate of a user's taste, per dimension
HALF_LIFE_DAYS = 5.0
CHUNK_CELLS = 300_000  # requests times items per scored chunk


class LoggingPolicy:
    """Draws slates for a world and learns popularity from its events."""

    def __init__(self, world: World) -> None:
        self._world = world
        seed, people, items = world.config.seed, world.market.population, world.market.catalogue
        width = world.market.item_vectors(0).shape[1]
        self._blur = BLUR * generator(seed, "policy").standard_normal((len(people), width), dtype=np.float32)
        known = items.created_at < LOG_START
        self._prior = np.where(known, 0.6 * np.exp(1.1 * items.appeal), 0.1).astype(np.float32)
        self._counts = np.zeros((len(COUNTRIES), len(items)), dtype=np.float32)
        self._clicks = np.where(people.signup_at < LOG_START, 4.0 * people.activity, 0.0)

    def learn(self, events: SimulatedEvents) -> None:
        """Counts clicks by item and country, and by user."""
        clicks = events.take(events.kinds == CLICK)
        np.add.at(self._counts, (self._world.market.population.country[clicks.users], clicks.items), np.float32(1.0))
        np.add.at(self._clicks, clicks.users, 1.0)

    def next_day(self) -> None:
        """Decays the popularity counts by one day."""
        self._counts *= np.float32(0.5 ** (1 / HALF_LIFE_DAYS))

    def draw(
        self,
        surface: str,
        users: Ints,
        times: FloatColumn,
        shown: Ints,
        seeds: Ints | None,
        random: np.random.Generator,
    ) -> tuple[Ints, Floats]:
        """Slates for requests of one day.

        Args:
            surface: home, email, or similar (needs `seeds`).
            users: User row of each request [r].
            times: Unix seconds of each request [r].
            shown: Items that must not be shown again [r, any], padded with -1.
            seeds: Seed item of each similar request [r].
            random: Random generator, consumed in the order of the requests.

        Returns:
            Item rows [r, k] and their propensities [r, k]; -1 and NaN where fewer than k items may be shown.
        """
        size = SLATE_SIZE[surface]
        drawn = np.empty((len(users), size), dtype=np.int32)
        propensity = np.empty((len(users), size), dtype=np.float32)
        step = max(1, CHUNK_CELLS // len(self._world.market.catalogue))
        for start in range(0, len(users), step):
            at = slice(start, start + step)
            mask = self._showable(users[at], times[at], shown[at])
            chance = self._home(users[at], times[at], mask) if seeds is None else self._similar(seeds[at], mask)
            drawn[at], propensity[at] = _plackett_luce(chance, size, random)
        return drawn, propensity

    def _showable(self, users: Ints, times: FloatColumn, shown: Ints) -> npt.NDArray[np.bool_]:
        """Items that may be shown, without items bought, or shown earlier in the session [r, m]."""
        mask = self._world.market.showable(users, times)
        mask[self._world.bought.of(users)] = False
        row, column = np.nonzero(shown >= 0)
        mask[row, shown[row, column]] = False
        return mask

    def _home(self, users: Ints, times: FloatColumn, mask: npt.NDArray[np.bool_]) -> Floats:
        """Probability of each item at the top of a home or email slate [r, m]."""
        day = self._world.market.day(float(times[0]))
        belief = self._world.market.user_vectors(users, times - DAY) + self._blur[users]  # a day old, with noise
        taste = belief @ self._world.market.item_vectors(day).T
        taste /= TEMPERATURE
        taste -= taste.max(axis=1, keepdims=True)
        np.exp(taste, out=taste)
        country = self._world.market.population.country[users]
        popular = (self._counts + 0.3 * self._counts.sum(axis=0) + self._prior)[country]
        known = (self._clicks[users] / (self._clicks[users] + 3.0)).astype(np.float32)[:, None] * TASTE_SHARE
        chance: Floats = known * _normalised(taste, mask)
        chance += (1 - EXPLORATION_SHARE - known) * _normalised(popular, mask)
        chance += EXPLORATION_SHARE * _normalised(np.ones_like(taste), mask)
        return chance

    def _similar(self, seeds: Ints, mask: npt.NDArray[np.bool_]) -> Floats:
        """Probability of each item at the top of a similar slate [r, m], by category, style and appeal."""
        items = self._world.market.catalogue
        closeness = 3.0 * items.style[seeds] @ items.style.T
        closeness += np.float32(4.5) * (items.category[seeds][:, None] == items.category)
        closeness += np.float32(0.5) * items.appeal
        np.exp(closeness, out=closeness)
        mask[np.arange(len(seeds)), seeds] = False
        chance: Floats = (1 - EXPLORATION_SHARE) * _normalised(closeness, mask)
        return chance + EXPLORATION_SHARE * _normalised(np.ones_like(closeness), mask)


def _normalised(weights: Floats, mask: npt.NDArray[np.bool_]) -> Floats:
    """Weights [r, m] restricted to `mask`, in place; every row with an allowed item sums to 1."""
    weights *= mask
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), np.float32(1e-30))
    return weights


def _plackett_luce(chance: Floats, size: int, random: np.random.Generator) -> tuple[Ints, Floats]:
    """Draws `size` items per row without replacement, by an exponential race (Efraimidis and Spirakis, 2006).

    Returns:
        Items [r, size] in the order drawn, and the probability of each item given the items before it.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        arrival = random.standard_exponential(chance.shape, dtype=np.float32) / chance
    first = np.argpartition(arrival, size, axis=1)[:, :size]
    order = np.argsort(np.take_along_axis(arrival, first, axis=1), axis=1)
    drawn = np.take_along_axis(first, order, axis=1)
    own = np.take_along_axis(chance, drawn, axis=1).astype(np.float64)
    left = np.maximum(1.0 - (np.cumsum(own, axis=1) - own), own)
    missing = own <= 0
    propensity = np.divide(own, left, out=np.full(own.shape, np.nan), where=~missing)
    return np.where(missing, -1, drawn).astype(np.int32), propensity.astype(np.float32)
