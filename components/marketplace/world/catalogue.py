"""The items of the marketplace: their names, prices and stock history, and hidden properties that only the world knows.

Words follow style: materials, finishes and brands have vectors in the same space as the items' hidden style vectors, so
that content is informative about taste.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.marketplace.config import LOG_START, MarketplaceConfig
from components.marketplace.world.chance import generator
from components.marketplace.world.vocabulary import BRANDS, CATEGORIES, REGIONS, SELLER_WORDS, SENTENCES
from feature_repo.dataset.split import DAY

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]

NUM_STYLES = 8  # dimensions of taste
NEVER = 1_000_000  # a day beyond every log
WORD_PULL = 2.2  # how strongly words follow style, relative to Gumbel noise


@dataclass(frozen=True, slots=True)
class Catalogue:
    """m items as columns; days count from the log's first day.

    Attributes:
        item_ids, titles, descriptions: Text [m].
        category, brand, seller, region: Codes [m]; region -1 means all regions.
        brand_names, seller_ids: Text by code.
        style: Unit vectors [m, NUM_STYLES].
        appeal, quality: Appeal to all users in logits, and workmanship in standard deviations [m].
        price: Price on the first day [m]; multiplied by `price_factor` from `price_day`.
        price_day, price_factor: Day and factor of a price change [m]; NEVER without a change.
        out_from, out_until: Span of days out of stock [m]; NEVER for items that are always in stock.
        created_at: Unix seconds [m].
        rating, num_ratings: Ratings from before the log [m]; NaN and 0 for items launched during the log.
        hype_day, hype_height: Day and height (logits) of a peak of attention [m]; height 0 for no peak.
    """

    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    descriptions: tuple[str, ...]
    category: Ints
    brand: Ints
    seller: Ints
    region: Ints
    brand_names: tuple[str, ...]
    seller_ids: tuple[str, ...]
    style: Floats
    appeal: Floats
    quality: Floats
    price: npt.NDArray[np.float64]
    price_day: Ints
    price_factor: Floats
    out_from: Ints
    out_until: Ints
    created_at: npt.NDArray[np.float64]
    rating: Floats
    num_ratings: Ints
    hype_day: Floats
    hype_height: Floats

    def __len__(self) -> int:
        return len(self.item_ids)

    def prices(self, day: int) -> npt.NDArray[np.float64]:
        """Prices [m] on a day, before any injected shift."""
        changed: npt.NDArray[np.float64] = np.where(
            day >= self.price_day, charm(self.price * self.price_factor), self.price
        )
        return changed

    def in_stock(self, day: int) -> npt.NDArray[np.bool_]:
        """Whether each item can be bought on a day [m]."""
        return (day < self.out_from) | (day >= self.out_until)


def charm(prices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Prices rounded as in shops: x.95 below 40, x.50 or x.00 below 100, whole numbers above."""
    low = np.maximum(np.floor(prices), 1.0) + 0.95
    middle = np.round(prices * 2) / 2
    ending: npt.NDArray[np.float64] = np.where(prices < 40, low, np.where(prices < 100, middle, np.round(prices)))
    return ending


def unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows scaled to length one."""
    scaled: npt.NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


def make_catalogue(config: MarketplaceConfig) -> Catalogue:
    """The catalogue of a configuration; the injected shift does not change it."""
    random = generator(config.seed, "catalogue")
    num = config.num_items
    weights = np.array([category.weight for category in CATEGORIES])
    category = random.choice(len(CATEGORIES), size=num, p=weights / weights.sum()).astype(np.int32)
    brand, brand_names, brand_style, tier = _brands(random, category)
    style = unit(0.9 * brand_style[brand] + unit(random.standard_normal((num, NUM_STYLES))))
    quality = random.standard_normal(num)
    appeal = 0.45 * random.standard_normal(num) + 0.3 * quality + 0.35 * random.standard_exponential(num) - 0.35
    created_at = _launches(random, config)
    ratings = np.where(created_at < LOG_START, np.exp(2.2 + 0.9 * appeal + 0.9 * random.standard_normal(num)), 0)
    num_ratings = np.floor(ratings).astype(np.int32)
    rating = np.round(np.clip(4.0 + 0.4 * quality + 0.2 * random.standard_normal(num), 1, 5), 1)
    price_day, price_factor = _changes(random, config, share=0.08)
    out_from, _ = _changes(random, config, share=0.05)
    titles, descriptions = _words(random, category, brand, brand_names, style)
    num_sellers = max(6, num // 25)
    return Catalogue(
        item_ids=tuple(f"i{number:05d}" for number in range(1, num + 1)),
        titles=titles,
        descriptions=descriptions,
        category=category,
        brand=brand,
        seller=_sellers(random, brand, num_sellers),
        region=np.where(random.random(num) < 0.1, random.integers(len(REGIONS), size=num), -1).astype(np.int32),
        brand_names=brand_names,
        seller_ids=_seller_ids(num_sellers),
        style=style.astype(np.float32),
        appeal=appeal.astype(np.float32),
        quality=quality.astype(np.float32),
        price=_prices(random, category, tier[brand]),
        price_day=price_day,
        price_factor=price_factor,
        out_from=out_from,
        out_until=np.where(random.random(num) < 0.6, out_from + random.integers(2, 9, size=num), NEVER).astype(
            np.int32
        ),
        created_at=created_at,
        rating=np.where(num_ratings > 0, rating, np.nan).astype(np.float32),
        num_ratings=num_ratings,
        hype_day=random.uniform(-3, config.num_days + 3, size=num).astype(np.float32),
        hype_height=np.where(random.random(num) < 0.06, random.uniform(0.8, 2.0, size=num), 0).astype(np.float32),
    )


def _brands(
    random: np.random.Generator, category: Ints
) -> tuple[Ints, tuple[str, ...], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Brand code of each item, names, style vectors and price tiers (in spreads of the category) by code."""
    names = tuple(name for group in BRANDS.values() for name in group)
    groups = np.array([group for group, members in BRANDS.items() for _ in members])
    brand = np.zeros(len(category), dtype=np.int32)
    for code, shelf in enumerate(CATEGORIES):
        members = np.flatnonzero(groups == shelf.group)
        share = 1.0 / (1.0 + random.permutation(len(members)))
        where = np.flatnonzero(category == code)
        brand[where] = random.choice(members, size=len(where), p=share / share.sum())
    return brand, names, unit(random.standard_normal((len(names), NUM_STYLES))), random.standard_normal(len(names))


def _launches(random: np.random.Generator, config: MarketplaceConfig) -> npt.NDArray[np.float64]:
    """Launch times: most before the log, some during the log, and the share of new items in its last days."""
    num = config.num_items
    before = LOG_START - random.exponential(240, size=num).clip(1, 900) * DAY
    during = LOG_START + random.uniform(0.5, config.num_days - config.new_days, size=num) * DAY
    lately = config.log_end - random.uniform(0.5, config.new_days, size=num) * DAY
    place = random.permutation(num)
    num_new = max(3, round(config.new_items * num))
    created = np.where(place < num_new, lately, np.where(place < num_new + 0.06 * num, during, before))
    launched: npt.NDArray[np.float64] = np.floor(created / 3600) * 3600
    return launched


def _changes(random: np.random.Generator, config: MarketplaceConfig, share: float) -> tuple[Ints, Floats]:
    """A day within the log for a share of the items (else NEVER), and a price factor."""
    num = config.num_items
    day = random.integers(1, config.num_days, size=num)
    factor = random.choice([0.75, 0.85, 1.1, 1.2], size=num)
    return np.where(random.random(num) < share, day, NEVER).astype(np.int32), factor.astype(np.float32)


def _prices(random: np.random.Generator, category: Ints, tier: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    median = np.log([shelf.median_price for shelf in CATEGORIES])[category]
    spread = np.array([shelf.price_spread for shelf in CATEGORIES])[category]
    return charm(np.exp(median + spread * (0.6 * tier + 0.8 * random.standard_normal(len(category)))))


def _words(
    random: np.random.Generator,
    category: Ints,
    brand: Ints,
    brand_names: tuple[str, ...],
    style: npt.NDArray[np.float64],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Titles and descriptions; among several words the word nearest to the item's style, with some noise."""
    places: dict[str, npt.NDArray[np.float64]] = {}

    def nearest(words: tuple[str, ...], item: int) -> str:
        for word in words:
            if word not in places:
                places[word] = unit(random.standard_normal(NUM_STYLES))
        pull = np.array([places[word] @ style[item] for word in words])
        return words[int(np.argmax(WORD_PULL * pull + random.gumbel(size=len(words)) * 0.5))]

    titles: list[str] = []
    descriptions: list[str] = []
    seen: dict[str, int] = {}
    for item, code in enumerate(category):
        shelf = CATEGORIES[code]
        noun = shelf.nouns[random.integers(len(shelf.nouns))]
        material, finish = nearest(shelf.materials, item), nearest(shelf.finishes, item)
        title = f"{brand_names[brand[item]]} {material} {noun}, {finish}"
        seen[title] = seen.get(title, 0) + 1
        titles.append(title if seen[title] == 1 else f"{title}, no. {seen[title]}")
        plain = f"{material[0].upper()}{material[1:]} {noun} by {brand_names[brand[item]]}, {finish}."
        descriptions.append(f"{plain} {nearest(SENTENCES, item)}")
    return tuple(titles), tuple(descriptions)


def _sellers(random: np.random.Generator, brand: Ints, num_sellers: int) -> Ints:
    """Seller of each item [m]: a few sellers sell each brand, and each seller sells a few brands."""
    shops = random.integers(num_sellers, size=(brand.max() + 1, 4))
    seller: Ints = shops[brand, random.integers(4, size=len(brand))].astype(np.int32)
    return seller


def _seller_ids(num_sellers: int) -> tuple[str, ...]:
    first, second = SELLER_WORDS
    pairs = [f"{one}-{two}" for two in second for one in first]
    return tuple(
        pairs[number] if number < len(pairs) else f"{pairs[number % len(pairs)]}-{number // len(pairs) + 1}"
        for number in range(num_sellers)
    )
