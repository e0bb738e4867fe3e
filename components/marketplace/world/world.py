"""The marketplace as an object that answers slates: users examine, click, add to cart, buy, revisit and return items.

Simulates user behaviour for any slate: the logging policy and kuberec itself can both provide slates. Draws depend on
(user, item, time), so the answer to a slate does not depend on its batch. Slates of one call do not affect each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from components.marketplace.config import LOG_START, MarketplaceConfig
from components.marketplace.world.catalogue import Floats, Ints
from components.marketplace.world.chance import FloatColumn, microseconds, uniform
from components.marketplace.world.events import (
    CART,
    CLICK,
    KINDS,
    PURCHASE,
    RETURN,
    SHARE,
    SimulatedEvents,
    concatenate,
)
from components.marketplace.world.market import Market
from components.marketplace.world.memory import Agenda, SeenPairs
from components.marketplace.world.vocabulary import CATEGORIES
from feature_repo.dataset.split import DAY

# Added to utility, in logits.
SEEN_WEIGHT = (0.4, -0.7)  # for an item viewed but not bought: within the last three days, and longer ago
BOUGHT_WEIGHT = -4.5
SURFACE_WEIGHT = {"similar": 0.25, "email": -0.3}

EXAMINATION_POWER = 0.6  # P(examined at position k) = (1 + k) ** -power
REVISIT = -1  # planned action: the user views the item again, and may buy it


class World:
    """A marketplace of one configuration; `World(config)` always gives the same world.

    Attributes:
        config, market: The configuration, and the market made from it.
        viewed, bought: Pairs that users have viewed and bought so far.
        agenda: Actions that users will take without a slate.
    """

    def __init__(self, config: MarketplaceConfig) -> None:
        self.config = config
        self.market = Market(config)
        self.viewed = SeenPairs(config.num_items)
        self.bought = SeenPairs(config.num_items)
        self.agenda = Agenda()
        self._user_rows = {user: row for row, user in enumerate(self.market.population.user_ids)}
        self._item_rows = {item: row for row, item in enumerate(self.market.catalogue.item_ids)}
        self._restocked = np.array([category.restocked for category in CATEGORIES])[self.market.catalogue.category]

    @staticmethod
    def examination(num_positions: int) -> FloatColumn:
        """Examination probability of each position [num_positions]: the ground truth for position-bias models."""
        probability: FloatColumn = np.power(1.0 + np.arange(num_positions), -EXAMINATION_POWER)
        return probability

    def answer(
        self,
        users: Ints,
        items: Ints,
        times: FloatColumn,
        surfaces: Sequence[str] | None = None,
        devices: Sequence[str] | None = None,
    ) -> SimulatedEvents:
        """The events that follow slates within minutes; later actions are added to the agenda (see `due`).

        Args:
            users: User rows [s].
            items: Item rows by position, 0 is the top [s, p]; -1 where the slate is shorter.
            times: Unix seconds at which each slate is seen [s].
            surfaces: Surface of each slate; home by default.
            devices: Device of each slate; purchases are slightly rarer on mobile devices.
        """
        slates, positions = np.nonzero(items >= 0)
        shown, who, when = items[slates, positions], users[slates], times[slates]
        wish = self._wish(who, shown, when)
        if surfaces is not None:
            wish += np.array([SURFACE_WEIGHT.get(surface, 0.0) for surface in surfaces])[slates]
        seen = self.examination(items.shape[1])[positions]
        clicked = np.flatnonzero(self._draw("click", who, shown, when) < seen * sigmoid(wish))
        delay = 2.0 + 2.5 * positions[clicked] + 8.0 * self._draw("delay", who[clicked], shown[clicked], when[clicked])
        on_mobile = None if devices is None else np.array([device == "mobile" for device in devices])[slates[clicked]]
        clicks = self._events(
            who[clicked], shown[clicked], CLICK, when[clicked] + delay, slates[clicked], positions[clicked]
        )
        events = self._with_deeds(clicks, wish[clicked], on_mobile)
        self.absorb(events)
        return events

    def due(self, until: float) -> SimulatedEvents:
        """Events without a slate before `until`: revisits, returns, restocking; in the order of their plans."""
        nobody = np.empty(0, dtype=np.int32)
        parts = [self._events(nobody, nobody, CLICK, np.empty(0))]
        while True:
            times, users, items, kinds = self.agenda.due(until)
            if not len(times):
                return concatenate(parts)
            again = (kinds == REVISIT) & ~(self.bought.last(users, items) > -np.inf)
            wish = self._wish(users[again], items[again], times[again])
            visits = self._with_deeds(self._events(users[again], items[again], CLICK, times[again]), wish + 0.8)
            plain = kinds != REVISIT
            others = self._events(users[plain], items[plain], kinds[plain], times[plain])
            parts.append(concatenate([visits, others]))
            self.absorb(parts[-1])

    def absorb(self, events: SimulatedEvents) -> None:
        """Records events and plans their follow-ups on the agenda.

        `answer` and `due` already call this method.
        """
        looked = events.take((events.kinds == CLICK) | (events.kinds == CART))
        bought = events.take(events.kinds == PURCHASE)
        self.viewed.add(looked.users, looked.items, looked.times)
        self.bought.add(bought.users, bought.items, bought.times)
        clicks = events.take(events.kinds == CLICK)
        wish = self.market.utility(clicks.users, clicks.items, clicks.times)
        again = self._draw("revisit", clicks.users, clicks.items, clicks.times) < sigmoid(0.4 * wish - 1.7)
        self._note("revisit_delay", clicks.take(again), REVISIT, first=1.0, mean=1.3)
        quality = self.market.catalogue.quality[bought.items]
        sent_back = self._draw("return", bought.users, bought.items, bought.times) < sigmoid(-2.5 - 0.8 * quality)
        self._note("return_delay", bought.take(sent_back), RETURN, first=3.0, mean=3.0)
        used_up = self._draw("restock", bought.users, bought.items, bought.times) < 0.35
        used_up &= self._restocked[bought.items] & ~sent_back
        self._note("restock_delay", bought.take(used_up), PURCHASE, first=9.0, mean=6.0)

    def resume(
        self,
        user_ids: Sequence[str],
        item_ids: Sequence[str],
        event_types: Sequence[str],
        times: FloatColumn,
        until: float,
    ) -> None:
        """Brings a new world to the state at the end of a log: records its events and plans their follow-ups.

        Args:
            user_ids: User of each clean event of the log [n]; events of unknown users or items are skipped.
            item_ids: Item of each event [n].
            event_types: Type of each event [n].
            times: Unix seconds [n].
            until: The log's end, unix seconds; actions planned before this time are discarded as done.
        """
        users, items = self.user_rows(user_ids), self.item_rows(item_ids)
        kinds = np.array([KINDS.index(kind) if kind in KINDS else -1 for kind in event_types])
        known = (users >= 0) & (items >= 0) & (kinds >= 0)
        self.absorb(self._events(users[known], items[known], kinds[known], times[known]))
        self.agenda.due(until)

    def user_rows(self, ids: Sequence[str]) -> Ints:
        """Rows of user ids [n]; -1 for unknown users."""
        return np.array([self._user_rows.get(user, -1) for user in ids], dtype=np.int32)

    def item_rows(self, ids: Sequence[str]) -> Ints:
        """Rows of item ids [n]; -1 for unknown items."""
        return np.array([self._item_rows.get(item, -1) for item in ids], dtype=np.int32)

    def _note(self, stream: str, events: SimulatedEvents, kind: int, first: float, mean: float) -> None:
        """Plans the action `kind` at least `first` days after the events, at about the same hour."""
        draw = self._draw(stream, events.users, events.items, events.times)
        days = first + np.floor(-np.log(draw) * mean)
        hours = 3.0 * (self._draw("delay", events.users, events.items, events.times) - 0.5)
        self.agenda.add(events.times + days * DAY + hours * 3600, events.users, events.items, kind)

    def _wish(self, users: Ints, items: Ints, times: FloatColumn) -> FloatColumn:
        """Utility adjusted for the user's earlier views and purchases."""
        since = times - self.viewed.last(users, items)  # infinite where never seen
        seen = np.where(since < 3 * DAY, SEEN_WEIGHT[0], np.where(np.isfinite(since), SEEN_WEIGHT[1], 0.0))
        owned = (self.bought.last(users, items) > -np.inf) & ~self._restocked[items]
        return self.market.utility(users, items, times) + np.where(owned, BOUGHT_WEIGHT, seen)

    def _with_deeds(
        self, clicks: SimulatedEvents, wish: FloatColumn, on_mobile: npt.NDArray[np.bool_] | None = None
    ) -> SimulatedEvents:
        """Clicks [n], and the cart, purchase and share events that follow within minutes."""
        users, items, times = clicks.users, clicks.items, clicks.times
        draws = {name: self._draw(name, users, items, times) for name in ("cart", "purchase", "share", "quantity")}
        cart = draws["cart"] < sigmoid(0.6 * wish - 1.5)
        hand = 0.0 if on_mobile is None else np.where(on_mobile, -0.4, 0.2)
        quality = self.market.catalogue.quality[items]
        buy = cart & (draws["purchase"] < sigmoid(0.35 * wish + 0.25 * quality + hand - 0.6))
        share = draws["share"] < 0.015
        pause = 20.0 + 100.0 * draws["quantity"]
        count = np.where(draws["quantity"] < 0.08, 2, 1)
        return concatenate(
            [
                clicks,
                _becoming(clicks.take(cart), CART, pause[cart]),
                _becoming(clicks.take(buy), PURCHASE, 3.5 * pause[buy], count[buy]),
                _becoming(clicks.take(share), SHARE, 0.5 * pause[share]),
            ]
        )

    def _events(
        self,
        users: Ints,
        items: Ints,
        kinds: int | Ints,
        times: FloatColumn,
        slates: Ints | None = None,
        positions: Ints | None = None,
    ) -> SimulatedEvents:
        none = np.full(len(users), -1, dtype=np.int32)
        days = np.floor((times - LOG_START) / DAY).astype(np.int64)
        prices = np.empty(len(users))
        for day in np.unique(days):
            prices[days == day] = self.market.prices(int(day))[items[days == day]]
        return SimulatedEvents(
            users=users.astype(np.int32),
            items=items.astype(np.int32),
            kinds=np.broadcast_to(np.asarray(kinds, dtype=np.int8), len(users)).copy(),
            times=np.rint(times * 1e6) / 1e6,
            slates=none if slates is None else slates.astype(np.int32),
            positions=none if positions is None else positions.astype(np.int32),
            prices=prices,
            quantities=np.ones(len(users), dtype=np.int8),
        )

    def _draw(self, stream: str, users: Ints, items: Ints, times: FloatColumn) -> FloatColumn:
        return uniform(self.config.seed, stream, users, items, microseconds(times))


def _becoming(events: SimulatedEvents, kind: int, delay: Floats, quantities: Ints | None = None) -> SimulatedEvents:
    """The same events with another kind, `delay` seconds later."""
    return replace(
        events,
        kinds=np.full(len(events), kind, dtype=np.int8),
        times=np.rint((events.times + delay) * 1e6) / 1e6,
        quantities=events.quantities if quantities is None else quantities.astype(np.int8),
    )


def sigmoid(logits: Floats) -> FloatColumn:
    """Converts logits to probabilities."""
    probability: FloatColumn = 1.0 / (1.0 + np.exp(-logits))
    return probability
