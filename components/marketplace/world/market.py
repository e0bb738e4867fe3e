"""The shop and its users at a given time, independent of past events: prices, stock, and utilities.

Utility is the product of a user's vector and an item's vector. A user's vector changes over time (missions, turning
style); an item's vector changes from day to day (price, hype, age).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.marketplace.config import LOG_START, MarketplaceConfig
from components.marketplace.world.catalogue import Floats, Ints, make_catalogue
from components.marketplace.world.chance import FloatColumn
from components.marketplace.world.population import make_population
from components.marketplace.world.vocabulary import AGE_GROUPS, CATEGORIES, COUNTRIES, REGIONS
from feature_repo.dataset.split import DAY

# Weights of a user's utility, in logits.
STYLE_WEIGHT = 2.4
MISSION_WEIGHT = 1.4
PRICE_WEIGHT = 0.45
FRESH_WEIGHT = 0.3  # for an item at its launch; fades within weeks
BASE = -2.9  # utility of an item without any particular interest
KEPT_DAYS = 8  # days of item vectors that are cached


class Market:
    """Catalogue and population of a configuration.

    Attributes:
        config, catalogue, population: The configuration, and the items and users made from it.
    """

    def __init__(self, config: MarketplaceConfig) -> None:
        self.config = config
        self.catalogue = make_catalogue(config)
        self.population = make_population(config)
        self._vectors: dict[int, Floats] = {}
        shelf = self.catalogue.category
        self._log_median = np.log([category.median_price for category in CATEGORIES])[shelf]
        self._spread = np.array([category.price_spread for category in CATEGORIES])[shelf]
        boost = config.shift.category_boost
        self._boost = np.array([boost.get(category.name, 0.0) for category in CATEGORIES], dtype=np.float32)
        self._sold_out = np.array([category.name in config.shift.sold_out for category in CATEGORIES])[shelf]
        regions = [set(REGIONS[code].split("|")) for code in range(len(REGIONS))]
        allowed = np.array([[market.name in region for region in regions] + [True] for market in COUNTRIES])
        adult = np.array([category.min_age >= 18 for category in CATEGORIES])[shelf]
        minor = np.array([name == "under-18" for name in AGE_GROUPS])
        self._allowed = allowed[:, self.catalogue.region]
        self._suitable = ~(minor[:, None] & adult[None, :])

    @staticmethod
    def day(time: float) -> int:
        """Days since the log's first midnight."""
        return int((time - LOG_START) // DAY)

    def prices(self, day: int) -> FloatColumn:
        """Prices [m] on a day, the injected shift included."""
        prices = self.catalogue.prices(day)
        return prices * self.config.shift.price_factor if self.config.shift.active(day) else prices

    def in_stock(self, day: int) -> npt.NDArray[np.bool_]:
        """Whether each item can be bought on a day [m], the injected shift included."""
        stock = self.catalogue.in_stock(day)
        return stock & ~self._sold_out if self.config.shift.active(day) else stock

    def showable(self, users: Ints, times: FloatColumn) -> npt.NDArray[np.bool_]:
        """Whether each item is launched, in stock, and allowed for each user's country and age [n, m].

        Args:
            users: User rows [n].
            times: Unix seconds [n], all of one day.
        """
        stock = self.in_stock(self.day(float(times[0])))
        place = self._allowed[self.population.country[users]] & self._suitable[self.population.age_group[users]]
        mask: npt.NDArray[np.bool_] = place & stock & (self.catalogue.created_at <= times[:, None])
        return mask

    def user_vectors(self, users: Ints, times: FloatColumn) -> Floats:
        """Tastes of users [n] at times [n] as vectors [n, d]; their product with `item_vectors` is the utility."""
        people, shelves = self.population, len(CATEGORIES)
        interest = people.interest[users].copy()
        interest[np.arange(len(users)), people.mission(self.config.seed, users, times)] += MISSION_WEIGHT
        if self.config.shift.from_day is not None:
            interest += np.where(times >= LOG_START + self.config.shift.from_day * DAY, 1.0, 0.0)[:, None] * self._boost
        level = people.price_level[users]
        vectors = np.empty((len(users), shelves + people.style_from.shape[1] + 3), dtype=np.float32)
        vectors[:, :shelves] = interest
        vectors[:, shelves:-3] = STYLE_WEIGHT * people.style(users, times)
        vectors[:, -3] = PRICE_WEIGHT * level
        vectors[:, -2] = 1.0
        vectors[:, -1] = BASE - 0.5 * PRICE_WEIGHT * level**2
        return vectors

    def item_vectors(self, day: int) -> Floats:
        """Properties of items on a day as vectors [m, d], see `user_vectors`."""
        if day not in self._vectors:
            items, shelves = self.catalogue, len(CATEGORIES)
            price = np.clip((np.log(self.prices(day)) - self._log_median) / self._spread, -4, 4)
            age = np.maximum(LOG_START + day * DAY - items.created_at, 0) / DAY
            hype = items.hype_height * np.exp(-(((day - items.hype_day) / 2.5) ** 2))
            vectors = np.zeros((len(items), shelves + items.style.shape[1] + 3), dtype=np.float32)
            vectors[np.arange(len(items)), items.category] = 1.0
            vectors[:, shelves:-3] = items.style
            vectors[:, -3] = price
            vectors[:, -2] = items.appeal + hype + FRESH_WEIGHT * np.exp(-age / 10) - 0.5 * PRICE_WEIGHT * price**2
            vectors[:, -1] = 1.0
            if len(self._vectors) >= KEPT_DAYS:
                self._vectors.clear()
            self._vectors[day] = vectors
        return self._vectors[day]

    def utility(self, users: Ints, items: Ints, times: FloatColumn) -> FloatColumn:
        """Utility in logits of user-item pairs [n] at times [n], regardless of earlier views and purchases."""
        result = np.empty(len(users))
        days = np.floor((times - LOG_START) / DAY).astype(np.int64)
        for day in np.unique(days):
            at = np.flatnonzero(days == day)
            offered = self.item_vectors(int(day))[items[at]]
            result[at] = np.einsum("nd,nd->n", self.user_vectors(users[at], times[at]), offered)
        return result
