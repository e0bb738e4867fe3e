"""Converts the marketplace to the dataset contract: four Arrow tables and `dataset.toml`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.marketplace.config import LOG_START, MarketplaceConfig
from components.marketplace.dataset.defects import ALL_KINDS
from components.marketplace.dataset.log import SURFACES, Table
from components.marketplace.world.catalogue import Ints
from components.marketplace.world.chance import generator, microseconds
from components.marketplace.world.market import Market
from components.marketplace.world.vocabulary import AGE_GROUPS, CATEGORIES, COUNTRIES, DEVICES, GENDERS, REGIONS
from feature_repo.dataset.split import DAY

TIME = pa.timestamp("us", tz="UTC")
MISSING_BRAND, MISSING_DESCRIPTION = 0.01, 0.03
NUM_BAD_ITEMS, NUM_BAD_USERS = 2, 3  # rows with a negative price; exact copies


def interactions_table(table: Table, market: Market) -> pa.Table:
    """The interactions of contract 1, in file order."""
    return pa.table(
        {
            "event_id": _numbered("e", table["number"], 8),
            "user_id": _taken(_user_ids(market), table["user"]),
            "item_id": _taken(market.catalogue.item_ids, table["item"]),
            "event_type": _taken(ALL_KINDS, table["kind"]),
            "timestamp": pa.array(table["time"], TIME),
            "price": pa.array(table["price"]),
            "quantity": pa.array(table["quantity"].astype(np.float64)),
            "session_id": _numbered("s", table["session"], 7),
            "request_id": _numbered("r", table["request"], 7),
            "device": _taken(DEVICES, table["device"]),
            "country": _countries(table["user"], market),
            "surface": _taken(SURFACES, table["surface"]),
        }
    )


def impressions_table(table: Table, market: Market) -> pa.Table:
    """The impressions of contract 1; labels are joined through request_id and item_id."""
    return pa.table(
        {
            "request_id": _numbered("r", table["request"], 7),
            "user_id": _taken(_user_ids(market), table["user"]),
            "item_id": _taken(market.catalogue.item_ids, table["item"]),
            "timestamp": pa.array(table["time"], TIME),
            "position": pa.array(table["position"]),
            "propensity": pa.array(table["propensity"].astype(np.float64)),
            "surface": _taken(SURFACES, table["surface"]),
            "session_id": _numbered("s", table["session"], 7),
            "device": _taken(DEVICES, table["device"]),
            "country": _countries(table["user"], market),
        }
    )


def items_table(market: Market, num_days: int | None = None) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """The items of contract 1 with their history by valid_from, and which rows [n] are deliberately bad.

    Args:
        market: The shop.
        num_days: Length of the history in days; the log's length by default.
    """
    items = market.catalogue
    rows, days = _history(market, market.config.num_days if num_days is None else num_days)
    order = np.lexsort((days, rows))
    rows, days = rows[order], days[order]
    valid_from = np.where(days < 0, items.created_at[rows], LOG_START + days * DAY)
    valid_from = np.maximum(valid_from, items.created_at[rows])
    price, in_stock = np.empty(len(rows)), np.empty(len(rows), dtype=bool)
    for day in np.unique(days):
        at = days == day
        price[at], in_stock[at] = market.prices(int(day))[rows[at]], market.in_stock(int(day))[rows[at]]
    random = generator(market.config.seed, "missing")
    shelf, num = items.category[rows], len(items)
    no_brand, no_text = random.random(num) < MISSING_BRAND, random.random(num) < MISSING_DESCRIPTION
    adult = np.array([category.min_age for category in CATEGORIES])[shelf]
    table = pa.table(
        {
            "item_id": _taken(items.item_ids, rows),
            "title": _taken(items.titles, rows),
            "description": _taken(items.descriptions, np.where(no_text[rows], -1, rows)),
            "category": _taken([category.name for category in CATEGORIES], shelf),
            "brand": _taken(items.brand_names, np.where(no_brand[rows], -1, items.brand[rows])),
            "seller_id": _taken(items.seller_ids, items.seller[rows]),
            "price": pa.array(np.round(price, 2)),
            "created_at": pa.array(microseconds(items.created_at)[rows], TIME),
            "in_stock": pa.array(in_stock),
            "rating": pa.array(np.round(items.rating.astype(np.float64), 1)[rows], from_pandas=True),
            "num_ratings": pa.array(items.num_ratings[rows].astype(np.int64)),
            "regions": _taken(REGIONS, items.region[rows]),
            "min_age": pa.array(np.where(adult > 0, adult, 0).astype(np.int64)),
            "valid_from": pa.array(microseconds(valid_from), TIME),
        }
    )
    return _with_bad_items(table)


def users_table(market: Market) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """The users of contract 1 without guests, and which rows [n] are deliberately bad."""
    people = market.population
    rows = np.flatnonzero(people.has_profile)
    rows = np.concatenate([rows, rows[:NUM_BAD_USERS]])
    table = pa.table(
        {
            "user_id": _taken(people.user_ids, rows),
            "country": _taken([market.name for market in COUNTRIES], people.country[rows]),
            "age_group": _taken(AGE_GROUPS, people.age_group[rows]),
            "gender": _taken(GENDERS, people.gender[rows]),
            "language": _taken(people.language, rows),
            "signup_at": pa.array(microseconds(people.signup_at)[rows], TIME),
        }
    )
    return table, np.arange(len(rows)) >= len(rows) - NUM_BAD_USERS


def dataset_toml(config: MarketplaceConfig) -> str:
    """The text of `dataset.toml`."""
    split = ""
    if config.split_days is not None:
        split = f"\n[split]\nvalidation_days = {config.split_days[0]}\ntest_days = {config.split_days[1]}\n"
    return f"""# A simulated marketplace, size {config.size}, seed {config.seed}. What is known of it stands in truth/.
name = "{config.name}"

[objectives]
click = ["click"]
engage = ["cart"]
convert = ["purchase"]

[events]
allowed = ["share"]
negative = ["return"]

[recommend]
repeats = "until-converted"

[quality]
maximum_daily_events = {config.maximum_daily_events}
{split}"""


def _history(market: Market, num_days: int) -> tuple[Ints, Ints]:
    """(item, day) of every row of items: its start (day -1 or launch), and each day on which price or stock changed."""
    items, config = market.catalogue, market.config
    began = np.maximum(np.floor((items.created_at - LOG_START) / DAY), -1).astype(np.int64)
    rows, days = [np.arange(len(items))], [began]
    moved = config.shift.from_day is not None and (config.shift.price_factor != 1.0 or config.shift.sold_out)
    shifted = np.full(len(items), config.shift.from_day if moved else num_days)
    for change in (items.price_day, items.out_from, items.out_until, shifted):
        at = np.flatnonzero((change > began) & (change < num_days))
        rows.append(at)
        days.append(change[at].astype(np.int64))
    pairs = np.unique(np.stack([np.concatenate(rows), np.concatenate(days)], axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


def _with_bad_items(table: pa.Table) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """Adds copies of the first rows with a negative price, and a row without an id."""
    bad = table.slice(0, NUM_BAD_ITEMS)
    place = table.schema.get_field_index("price")
    bad = bad.set_column(place, "price", pa.array([-9.99] * NUM_BAD_ITEMS))
    nameless = table.slice(NUM_BAD_ITEMS, 1).set_column(0, "item_id", pa.array([None], pa.string()))
    whole = pa.concat_tables([table, bad, nameless]).combine_chunks()
    return whole, np.arange(len(whole)) >= len(table)


def _user_ids(market: Market) -> tuple[str, ...]:
    """Ids of the population, then of the bots."""
    num = len(market.population)
    return (*market.population.user_ids, *(f"u{num + 1 + bot:05d}" for bot in range(market.config.num_bots)))


def _countries(users: Ints, market: Market) -> pa.Array:
    """Country of each event; null for bots and null users."""
    codes = np.append(market.population.country, np.full(market.config.num_bots + 1, -1))
    return _taken([country.name for country in COUNTRIES], codes[users])


def _taken(words: tuple[str, ...] | list[str], codes: Ints) -> pa.Array:
    """The word of each code as text, null for -1."""
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.array(words, pa.string()).take(indices)


def _numbered(prefix: str, numbers: Ints, width: int) -> pa.Array:
    """Ids such as e00000042, null for -1."""
    distinct, place = np.unique(numbers, return_inverse=True)
    words = [f"{prefix}{number:0{width}d}" for number in distinct]
    return _taken(words, np.where(numbers < 0, -1, place))
