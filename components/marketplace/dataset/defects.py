"""Plants the defects that later steps must detect, and counts them: bad rows, copies, bots.

Works on columns of codes, where -1 is a null id. Every row gets at most one defect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.marketplace.config import LOG_START
from components.marketplace.dataset.log import DIRECT, Log, Table
from components.marketplace.world.catalogue import Ints
from components.marketplace.world.chance import generator
from components.marketplace.world.events import CLICK, KINDS
from components.marketplace.world.market import Market
from feature_repo.dataset.split import DAY

UNKNOWN_KINDS = ("clik", "wishlist_v2")  # event types that dataset.toml does not list
ALL_KINDS = (*KINDS, *UNKNOWN_KINDS)
REASONS = (
    "clean",
    "null user_id",
    "null item_id",
    "exact duplicate",
    "negative price",
    "unknown event_type",
    "far-future timestamp",
)
CLEAN, NULL_USER, NULL_ITEM, DUPLICATE, NEGATIVE_PRICE, UNKNOWN_TYPE, FAR_FUTURE = range(len(REASONS))
FAR_FUTURE_MICROSECONDS = 4_070_908_800_000_000  # 2099-01-01
BOT_ITEMS = 25  # items that a bot clicks repeatedly


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot: its user row (after the population's rows), its active day, and its number of events."""

    user: int
    day: int
    num_events: int


def plant_bots(log: Log, market: Market) -> tuple[Log, tuple[Bot, ...]]:
    """Adds the clicks of bots to a log; each bot is active on a different day."""
    config, parts, bots = market.config, [log.interactions], []
    for number in range(config.num_bots):
        random = generator(config.seed, "bots", number)
        day = 2 + (config.spike_day + 1 + number * 3) % (config.num_days - 3)
        start, num = LOG_START + day * DAY, config.bot_events
        there = np.flatnonzero((market.catalogue.created_at < LOG_START) & market.catalogue.in_stock(day))
        items = random.choice(random.choice(there, size=min(BOT_ITEMS, len(there)), replace=False), size=num)
        user = config.num_users + number
        parts.append(
            {
                "user": np.full(num, user, dtype=np.int32),
                "item": items.astype(np.int32),
                "kind": np.full(num, CLICK, dtype=np.int8),
                "time": np.sort(np.rint((start + random.uniform(3600, 82_000, size=num)) * 1e6)).astype(np.int64),
                "price": market.prices(day)[items],
                "quantity": np.ones(num, dtype=np.int8),
                "request": np.full(num, -1),
                "session": np.full(num, parts[-1]["session"].max() + 1),
                "surface": np.full(num, DIRECT, dtype=np.int8),
                "device": np.ones(num, dtype=np.int8),
            }
        )
        bots.append(Bot(user, day, num))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in log.interactions}
    order = np.argsort(joined["time"], kind="stable")
    return Log(log.impressions, {name: column[order] for name, column in joined.items()}), tuple(bots)


def plant_in_interactions(table: Table, market: Market) -> Table:
    """Interactions with bad rows and a column `reason` (codes into REASONS); numbered before copies are added."""
    defects = market.config.defects
    num = len(table["user"])
    random = generator(market.config.seed, "defects", 0)
    table = {**table, "number": np.arange(num), "reason": np.zeros(num, dtype=np.int8)}
    table = {name: column.copy() for name, column in table.items()}
    shares = {
        NULL_USER: defects.null_users,
        NULL_ITEM: defects.null_items,
        DUPLICATE: defects.duplicates,
        NEGATIVE_PRICE: defects.negative_prices,
        UNKNOWN_TYPE: defects.unknown_types,
    }
    rows = _disjoint(random, num, shares)
    table["user"][rows[NULL_USER]] = -1
    table["item"][rows[NULL_ITEM]] = -1
    table["price"][rows[NEGATIVE_PRICE]] *= -1
    table["kind"][rows[UNKNOWN_TYPE]] = len(KINDS) + random.integers(len(UNKNOWN_KINDS), size=len(rows[UNKNOWN_TYPE]))
    for reason in (NULL_USER, NULL_ITEM, NEGATIVE_PRICE, UNKNOWN_TYPE):
        table["reason"][rows[reason]] = reason
    table = _with_copies(table, rows[DUPLICATE])
    if defects.far_future:  # the log's last row gets a timestamp decades ahead
        table["time"][-1], table["reason"][-1] = FAR_FUTURE_MICROSECONDS, FAR_FUTURE
    return table


def plant_in_impressions(table: Table, market: Market) -> Table:
    """The impressions with null ids and copies, and a column `reason`."""
    share = market.config.defects.impression_nulls
    num = len(table["user"])
    random = generator(market.config.seed, "defects", 1)
    table = {**table, "reason": np.zeros(num, dtype=np.int8)}
    table = {name: column.copy() for name, column in table.items()}
    rows = _disjoint(random, num, {NULL_USER: share / 2, NULL_ITEM: share / 2, DUPLICATE: share / 2})
    table["user"][rows[NULL_USER]] = -1
    table["item"][rows[NULL_ITEM]] = -1
    table["reason"][rows[NULL_USER]], table["reason"][rows[NULL_ITEM]] = NULL_USER, NULL_ITEM
    return _with_copies(table, rows[DUPLICATE])


def _disjoint(random: np.random.Generator, num: int, shares: dict[int, float]) -> dict[int, Ints]:
    """Reason -> rows drawn for its share, without overlap; the last row is never drawn."""
    order = random.permutation(num - 1)
    ends = np.cumsum([round(share * (num - 1)) for share in shares.values()])
    return dict(zip(shares, (np.sort(rows) for rows in np.split(order, ends)[:-1]), strict=True))


def _with_copies(table: Table, rows: Ints) -> Table:
    """The table with a copy of each of `rows` inserted directly after it."""
    num = len(table["user"])
    order = np.sort(np.concatenate([np.arange(num), rows]), kind="stable")
    copied = np.append(False, order[1:] == order[:-1])
    table = {name: column[order] for name, column in table.items()}
    table["reason"][copied] = DUPLICATE
    return table
