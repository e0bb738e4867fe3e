"""Sessions of users: times by hour and weekday, devices, and whether the email digest started them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.marketplace.config import LOG_START
from components.marketplace.world.catalogue import Ints
from components.marketplace.world.chance import FloatColumn, generator
from components.marketplace.world.vocabulary import COUNTRIES
from components.marketplace.world.world import World
from feature_repo.dataset.split import DAY

WEEKDAY = (0.93, 0.92, 0.95, 0.98, 1.02, 1.12, 1.08)  # Monday first
HOUR = (8, 4, 2, 2, 2, 4, 12, 24, 32, 34, 36, 38, 44, 42, 36, 36, 40, 48, 58, 72, 84, 80, 56, 26)  # local time
EMAIL_SHARE = 0.08  # share of sessions that begin with the email digest
IMPRESSIONS_A_SESSION = 20.8  # measured; scales activity to the configured number of impressions


@dataclass(frozen=True, slots=True)
class Visits:
    """The sessions of a day, sorted by time.

    Attributes:
        users: User rows [s].
        times: Unix seconds at which each session begins [s].
        devices: Codes into DEVICES [s].
        by_email: Whether the session begins with the email digest [s].
    """

    users: Ints
    times: FloatColumn
    devices: Ints
    by_email: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.users)


def visits_of(world: World, day: int) -> Visits:
    """The sessions of a day, which may lie after the log's end."""
    config, people = world.config, world.market.population
    random = generator(config.seed, "visits", day)
    midnight = LOG_START + day * DAY
    rate = people.activity * WEEKDAY[day % 7] * (config.spike_factor if day == config.spike_day else 1.0)
    rate *= config.num_impressions / config.num_days / IMPRESSIONS_A_SESSION / (0.93 * people.activity.sum())
    rate *= np.clip((midnight + DAY - people.signup_at) / DAY, 0, 1)  # a new user's first day is partial
    new = (people.signup_at >= midnight) & (people.signup_at < midnight + DAY)
    count = random.poisson(rate) + new  # a sign-up always starts a session
    users = np.repeat(np.arange(len(people), dtype=np.int32), count)
    local = np.searchsorted(np.cumsum(HOUR) / np.sum(HOUR), random.random(len(users))) + random.random(len(users))
    offset = np.array([market.utc_offset for market in COUNTRIES])[people.country[users]]
    second = ((local - offset) * 3600) % DAY
    since = np.maximum(people.signup_at[users] - midnight, 0)  # no session before sign-up
    times = np.rint((midnight + np.where(second < since, since + (DAY - since) * second / DAY, second)) * 1e3) / 1e3
    mobile = people.mobile[users]
    if config.shift.active(day) and config.shift.mobile_share is not None:
        mobile = np.full(len(users), config.shift.mobile_share)
    choice = random.random((3, len(users)))
    devices = np.where(choice[0] < mobile, 0, np.where(choice[1] < 0.8, 1, 2))
    order = np.argsort(times, kind="stable")
    return Visits(
        users=users[order],
        times=times[order],
        devices=devices[order].astype(np.int32),
        by_email=(choice[2] < EMAIL_SHARE)[order],
    )
