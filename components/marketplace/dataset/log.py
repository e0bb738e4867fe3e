"""Simulates the log of a policy run against the world, day by day and session by session.

Defines the order of events within a day: users arrive, see slates, act on them, and request further slates. The
resulting log is clean; `defects` plants bad rows afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from components.marketplace.config import LOG_START
from components.marketplace.world.catalogue import Floats, Ints
from components.marketplace.world.chance import FloatColumn, generator, microseconds, uniform
from components.marketplace.world.events import CLICK, SimulatedEvents
from components.marketplace.world.policy import SLATE_SIZE, LoggingPolicy
from components.marketplace.world.visits import visits_of
from components.marketplace.world.vocabulary import DEVICES
from components.marketplace.world.world import World
from feature_repo.dataset.split import DAY
from feature_repo.progress import track

Table = dict[str, npt.NDArray[Any]]

SESSION_PAUSE = 1800.0  # seconds
MAXIMUM_ROUNDS = 6  # requests per session at most
SURFACES = ("home", "similar", "email", "direct")  # direct: the user returned without a slate
HOME, SIMILAR, EMAIL, DIRECT = range(len(SURFACES))
SURFACE_NAMES, DEVICE_NAMES = np.array(SURFACES), np.array(DEVICES)


@dataclass(frozen=True, slots=True)
class Log:
    """Impressions and interactions, sorted by time.

    Attributes:
        impressions: Columns user, item, time, position, propensity, request, session, surface, device.
        interactions: Columns user, item, kind, time, price, quantity, request (-1: none), session, surface, device.
    """

    impressions: Table
    interactions: Table


class Simulation:
    """Runs a logging policy against a world; each world supports a single run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._policy = LoggingPolicy(world)
        self._num_requests = 0
        self._num_sessions = 0
        self._impressions: list[Table] = []
        self._interactions: list[Table] = []

    def run(self) -> Log:
        """The log of the configured days."""
        config = self._world.config
        with threadpool_limits(1):  # many small matrix products: more threads would slow them down
            for day in track(range(config.num_days), f"simulating {config.name}"):
                self._come_back(day)
                self._visit(day)
                self._policy.next_day()
        self._come_back(config.num_days - 1)  # follow-ups that the last day caused within the day
        return Log(_by_time(self._impressions, config.log_end), _by_time(self._interactions, config.log_end))

    def _come_back(self, day: int) -> None:
        """Adds what users do on a day without a slate; a pause of half an hour ends a session."""
        events = self._world.due(LOG_START + (day + 1) * DAY)
        if not len(events):
            return
        events = events.take(np.lexsort((events.times, events.users)))
        self._policy.learn(events)
        pause = np.diff(events.times, prepend=events.times[0]) > SESSION_PAUSE
        session = np.cumsum(pause | (np.diff(events.users, prepend=events.users[0]) != 0))
        draw = uniform(self._world.config.seed, "visits", events.users, session, np.full(len(session), day))
        device = np.where(draw < self._world.market.population.mobile[events.users], 0, 1)
        none = np.full(len(events), -1)
        self._record(events, none, self._num_sessions + session, np.full(len(events), DIRECT), device)
        self._num_sessions += int(session[-1]) + 1

    def _visit(self, day: int) -> None:
        """Simulates the sessions of a day in lockstep: in every round each open session makes one request."""
        visits = visits_of(self._world, day)
        random = generator(self._world.config.seed, "policy", day)
        now, seeds = visits.times.copy(), np.full(len(visits), -1, dtype=np.int32)
        shown = np.full((len(visits), MAXIMUM_ROUNDS * max(SLATE_SIZE.values())), -1, dtype=np.int32)
        session = self._num_sessions + np.arange(len(visits))
        self._num_sessions += len(visits)
        at = np.arange(len(visits))
        for turn in range(MAXIMUM_ROUNDS):
            if not len(at):
                break
            surface = np.where(seeds[at] >= 0, SIMILAR, np.where(visits.by_email[at] & (turn == 0), EMAIL, HOME))
            slates, propensity = self._draw(surface, visits.users[at], now[at], shown[at], seeds[at], random)
            shown[at, turn * slates.shape[1] : (turn + 1) * slates.shape[1]] = slates
            device = visits.devices[at]
            names = SURFACE_NAMES[surface].tolist()
            events = self._world.answer(visits.users[at], slates, now[at], names, DEVICE_NAMES[device].tolist())
            self._policy.learn(events)
            request = self._num_requests + np.arange(len(at))
            self._num_requests += len(at)
            self._show(visits.users[at], now[at], slates, propensity, request, session[at], surface, device)
            led = events.slates
            self._record(events, request[led], session[at][led], surface[led], device[led])
            on, now[at], seeds[at] = next_requests(events, now[at], random)
            at = at[on]

    def _draw(
        self, surface: Ints, users: Ints, times: FloatColumn, shown: Ints, seeds: Ints, random: np.random.Generator
    ) -> tuple[Ints, Floats]:
        """Slates of several surfaces, padded to the largest slate size."""
        width = max(SLATE_SIZE.values())
        slates = np.full((len(users), width), -1, dtype=np.int32)
        propensity = np.full((len(users), width), np.nan, dtype=np.float32)
        for code in (HOME, SIMILAR, EMAIL):
            at, size = np.flatnonzero(surface == code), SLATE_SIZE[SURFACES[code]]
            if len(at):
                like = seeds[at] if code == SIMILAR else None
                drawn = self._policy.draw(SURFACES[code], users[at], times[at], shown[at], like, random)
                slates[at, :size], propensity[at, :size] = drawn
        return slates, propensity

    def _show(
        self,
        users: Ints,
        times: FloatColumn,
        slates: Ints,
        propensity: Floats,
        request: npt.NDArray[np.int64],
        session: npt.NDArray[np.int64],
        surface: Ints,
        device: Ints,
    ) -> None:
        row, position = np.nonzero(slates >= 0)
        self._impressions.append(
            {
                "user": users[row],
                "item": slates[row, position],
                "time": microseconds(times)[row],
                "position": position.astype(np.int32),
                "propensity": propensity[row, position],
                "request": request[row],
                "session": session[row],
                "surface": surface[row].astype(np.int8),
                "device": device[row].astype(np.int8),
            }
        )

    def _record(
        self,
        events: SimulatedEvents,
        request: npt.NDArray[np.int64],
        session: npt.NDArray[np.int64],
        surface: Ints,
        device: Ints,
    ) -> None:
        self._interactions.append(
            {
                "user": events.users,
                "item": events.items,
                "kind": events.kinds,
                "time": microseconds(events.times),
                "price": events.prices,
                "quantity": events.quantities,
                "request": request,
                "session": session,
                "surface": surface.astype(np.int8),
                "device": device.astype(np.int8),
            }
        )


def next_requests(
    events: SimulatedEvents, times: FloatColumn, random: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], FloatColumn, Ints]:
    """Which sessions make another request [s], when [s], and the seed item of a similar request (-1: none) [s]."""
    num = len(times)
    clicks = events.take(events.kinds == CLICK)
    last = np.full(num, -1, dtype=np.int32)
    last[clicks.slates] = clicks.items  # clicks of a slate are sorted by position: the lowest click wins
    busy = times + 6.0
    np.maximum.at(busy, events.slates, events.times)
    on = random.random(num) < np.where(last >= 0, 0.6, 0.38)
    seeds = np.where(random.random(num) < 0.5, last, -1).astype(np.int32)
    return on, busy + 10.0 + 45.0 * random.standard_exponential(num), seeds


def _by_time(parts: list[Table], end: float) -> Table:
    """The parts as one table, sorted by time (stable), without rows after the log's end."""
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(table["time"], kind="stable")
    order = order[table["time"][order] < end * 1e6]
    return {name: column[order] for name, column in table.items()}
