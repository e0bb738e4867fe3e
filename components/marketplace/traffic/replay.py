"""Replays days of the marketplace against a running transformer, so that the feedback loop closes.

Simulated users request slates and report what they do; the transformer decides what they see. Sessions run in lockstep,
as in `log.py`: in every round each open session makes one request, and the requests of a round run in parallel. The
simulated time is sent in the header `Kuberec-Time`, so the servers need KUBEREC_CLOCK=request.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from components.marketplace.config import LOG_START, MarketplaceConfig
from components.marketplace.dataset.log import (
    DEVICE_NAMES,
    DIRECT,
    EMAIL,
    HOME,
    MAXIMUM_ROUNDS,
    SIMILAR,
    SURFACE_NAMES,
    next_requests,
)
from components.marketplace.dataset.tables import items_table
from components.marketplace.traffic.client import ShopClient, rfc3339
from components.marketplace.world.catalogue import Ints
from components.marketplace.world.chance import FloatColumn, generator, microseconds, uniform
from components.marketplace.world.events import KINDS, SimulatedEvents
from components.marketplace.world.policy import SLATE_SIZE
from components.marketplace.world.visits import visits_of
from components.marketplace.world.vocabulary import COUNTRIES
from components.marketplace.world.world import World
from feature_repo.dataset.split import DAY
from feature_repo.progress import track
from feature_repo.storage.files import write_parquet

COLUMNS = ("user_id", "item_id", "event_type", "timestamp")


@dataclass(frozen=True, slots=True)
class ReplayedDay:
    """Counts of a replayed day.

    Attributes:
        num_requests: Slates requested; all were answered.
        num_degraded: Slates whose response reports a degradation.
        num_events: Events accepted.
        versions: Bundle versions of the responses, sorted.
    """

    num_requests: int
    num_degraded: int
    num_events: int
    versions: tuple[str, ...]


def resumed_world(config: MarketplaceConfig, tables: list[Path], until: float) -> World:
    """A world whose state is that at the end of the given logs.

    Args:
        config: Configuration of the world that made the log; its shift may differ.
        tables: Interactions: files or folders of the dataset and of the served log; missing paths count as empty.
        until: Unix seconds; follow-up visits planned before this time have already happened.
    """
    world = World(config)
    found = [pq.read_table(path, columns=list(COLUMNS)).select(list(COLUMNS)) for path in tables if path.exists()]
    columns = {name: [value for table in found for value in table[name].to_pylist()] for name in COLUMNS}
    times = np.array([time.timestamp() for time in columns["timestamp"]])
    past = np.flatnonzero(times < until)  # a planted defect is dated years ahead
    user_ids, item_ids, kinds = ([columns[name][place] for place in past] for name in COLUMNS[:3])
    world.resume(user_ids, item_ids, kinds, times[past], until)
    return world


def write_items(world: World, dataset: Path, day: int) -> None:
    """Writes the shop's items table as of a day: all prices and stock changes up to that day."""
    write_parquet(dataset / "items.parquet", items_table(world.market, day + 1)[0])


class TrafficReplay:
    """Runs days of a world against a transformer.

    Args:
        world: The world whose users send the requests.
        client: Client of the transformer.
        threads: Number of concurrent requests.
    """

    def __init__(self, world: World, client: ShopClient, threads: int = 2) -> None:
        self._world = world
        self._client = client
        self._threads = threads
        self._countries = np.array([country.name for country in COUNTRIES])[world.market.population.country]

    def day(self, day: int) -> ReplayedDay:
        """Replays one day, from midnight to midnight.

        Args:
            day: Days since the log's first midnight.

        Raises:
            ShopClientError: The transformer did not answer, or answered with an error.
        """
        num_events = self._come_back(day)
        visits = visits_of(self._world, day)
        random = generator(self._world.config.seed, "policy", day, 1)
        now, seeds = visits.times.copy(), np.full(len(visits), -1, dtype=np.int32)
        at = np.arange(len(visits))
        midnight = LOG_START + (day + 1) * DAY  # sessions end at midnight
        num_requests = num_degraded = 0
        versions: set[str] = set()
        with ThreadPoolExecutor(self._threads) as pool:
            for turn in track(range(MAXIMUM_ROUNDS), f"day {day}: {len(visits)} sessions"):
                if not len(at):
                    break
                surface = np.where(seeds[at] >= 0, SIMILAR, np.where(visits.by_email[at] & (turn == 0), EMAIL, HOME))
                device = visits.devices[at]
                asked = zip(visits.users[at], now[at], surface, seeds[at], device, strict=True)
                feeds = list(pool.map(lambda one: self._ask(*one), asked))
                num_requests += len(feeds)
                num_degraded += sum(bool(feed["degraded"]) for feed in feeds)
                versions.update(feed["bundle_version"] for feed in feeds)
                names, devices = SURFACE_NAMES[surface].tolist(), DEVICE_NAMES[device].tolist()
                events = self._world.answer(visits.users[at], self._rows(feeds), now[at], names, devices)
                requests = [feed["request_id"] for feed in feeds]
                sessions = [f"day{day}-{place}" for place in at]
                context = [
                    {"request_id": requests[slate], "session_id": sessions[slate], "surface": names[slate],
                     "device": devices[slate]}
                    for slate in events.slates
                ]  # fmt: skip
                num_events += self._report(events, context)
                on, now[at], seeds[at] = next_requests(events, now[at], random)
                at = at[on & (now[at] < midnight)]
        return ReplayedDay(num_requests, num_degraded, num_events, tuple(sorted(versions)))

    def _ask(self, user: int, moment: float, surface: int, seed: int, device: int) -> dict[str, Any]:
        market = self._world.market
        return self._client.feed(
            float(moment),
            user_id=market.population.user_ids[user],
            surface=str(SURFACE_NAMES[surface]),
            count=SLATE_SIZE[str(SURFACE_NAMES[surface])],
            item_id=market.catalogue.item_ids[seed] if seed >= 0 else None,
            country=str(self._countries[user]),
            device=str(DEVICE_NAMES[device]),
        )

    def _rows(self, feeds: list[dict[str, Any]]) -> Ints:
        """Item rows of slates by position [s, largest slate size]; -1 where a slate is shorter."""
        rows = np.full((len(feeds), max(SLATE_SIZE.values())), -1, dtype=np.int32)
        for slate, feed in enumerate(feeds):
            found = self._world.item_rows([item["item_id"] for item in feed["items"]])
            rows[slate, : len(found)] = found
        return rows

    def _come_back(self, day: int) -> int:
        """Reports what users do on the day without a slate; returns the number of events."""
        events = self._world.due(LOG_START + (day + 1) * DAY)
        mobile = self._world.market.population.mobile[events.users]
        draw = uniform(self._world.config.seed, "visits", events.users, microseconds(events.times))
        devices = DEVICE_NAMES[np.where(draw < mobile, 0, 1)].tolist()
        return self._report(events, [{"surface": str(SURFACE_NAMES[DIRECT]), "device": device} for device in devices])

    def _report(self, events: SimulatedEvents, context: list[dict[str, str]]) -> int:
        """Posts events in order of time; the request carries the time of the last event."""
        if not len(events):
            return 0
        market = self._world.market
        ids = _event_ids(events.users, events.items, events.kinds, events.times)
        bodies = [
            {
                "event_id": ids[place],
                "user_id": market.population.user_ids[events.users[place]],
                "item_id": market.catalogue.item_ids[events.items[place]],
                "event_type": KINDS[events.kinds[place]],
                "timestamp": rfc3339(float(events.times[place])),
                "price": round(float(events.prices[place]), 2),
                "quantity": int(events.quantities[place]),
                "country": str(self._countries[events.users[place]]),
                **context[place],
            }
            for place in np.argsort(events.times, kind="stable")
        ]
        return self._client.report(float(events.times.max()), bodies)


def _event_ids(users: Ints, items: Ints, kinds: npt.NDArray[np.int8], times: FloatColumn) -> list[str]:
    """Deterministic ids: a repeated replay of a day sends the same ids, so that each event counts once."""
    columns = zip(users, items, kinds, microseconds(times), strict=True)
    return [f"{user}-{item}-{KINDS[kind]}-{time}" for user, item, kind, time in columns]
