"""The users of the dense log: profiles, tastes that turn, and the sittings in which they act."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.marketplace.logs.dense.config import DenseConfig
from components.marketplace.logs.dense.films import Films
from components.marketplace.logs.draws import Flags, long_tailed
from components.marketplace.world.catalogue import Floats, Ints, unit
from components.marketplace.world.chance import FloatColumn, generator
from components.marketplace.world.vocabulary import AGE_GROUPS, AGE_SHARES, COUNTRIES, GENDER_SHARES, GENDERS
from feature_repo.dataset.split import DAY

ACTIVITY_SPREAD = 1.05  # standard deviation of the logarithm of the number of events
ONE_SITTING = 0.6  # of users
TURN = (0.4, 1.6)  # radians by which taste turns over a user's life
ARRIVAL, STAY = (1.0, 3.5), (0.7, 0.7)  # beta distributions of arrival in the log, and of staying in what is left
GAP_SECONDS = 9.0  # median between two events of a sitting
LONG_GAPS = 0.03  # share of gaps that last twenty times as long
RETURN_DAYS = 90.0  # median between two sittings


@dataclass(frozen=True, slots=True)
class Audience:
    """n users as columns, the most active first, with their events one after another.

    Attributes:
        country, age_group, gender: Codes [n] into the vocabulary.
        taste_from, taste_to: The plane in which taste turns: orthonormal vectors [n, NUM_DIMENSIONS].
        turn: Radians from the first event to the last [n].
        fame_weight: How much fame counts for the user [n].
        num_events: Events of each user [n], not increasing.
        starts: First event of each user [n] among all events.
        times: Unix seconds of all events, whole seconds, ascending for each user.
        begins: Whether each event is the first of a sitting.
    """

    country: Ints
    age_group: Ints
    gender: Ints
    taste_from: Floats
    taste_to: Floats
    turn: Floats
    fame_weight: Floats
    num_events: Ints
    starts: Ints
    times: FloatColumn
    begins: Flags

    def __len__(self) -> int:
        return len(self.num_events)

    def taste(self, users: Ints, step: int | Ints) -> Floats:
        """Taste of users [n] at their event `step`, counted from 0: unit vectors [n, NUM_DIMENSIONS]."""
        angle = (self.turn[users] * step / self.num_events[users])[:, None]
        turned: Floats = (np.cos(angle) * self.taste_from[users] + np.sin(angle) * self.taste_to[users]).astype(
            np.float32
        )
        return turned


def make_audience(config: DenseConfig, films: Films) -> Audience:
    """The audience of a configuration."""
    random = generator(config.seed, "population")
    num = config.num_users
    bounds = (config.minimum_events, config.maximum_events)
    num_events = np.sort(long_tailed(random, num, config.mean_events, ACTIVITY_SPREAD, bounds))[::-1]
    age_group = random.choice(len(AGE_GROUPS), size=num, p=AGE_SHARES)
    gender = random.choice(len(GENDERS), size=num, p=GENDER_SHARES)
    leaning = random.standard_normal((len(AGE_GROUPS), len(films.genre_vectors)))[age_group]
    leaning += random.standard_normal((len(GENDERS), len(films.genre_vectors)))[gender]
    first, then = (_favourites(random, leaning, films.genre_vectors) for _ in range(2))
    aside = unit(then - (then * first).sum(axis=1, keepdims=True) * first)
    starts = np.concatenate([[0], np.cumsum(num_events)[:-1]])
    times, begins = _times(random, config, num_events, starts)
    return Audience(
        country=random.choice(len(COUNTRIES), size=num, p=[country.share for country in COUNTRIES]),
        age_group=age_group,
        gender=gender,
        taste_from=first.astype(np.float32),
        taste_to=aside.astype(np.float32),
        turn=random.uniform(*TURN, size=num).astype(np.float32),
        fame_weight=np.clip(1.0 + 0.25 * random.standard_normal(num), 0.3, 1.7).astype(np.float32),
        num_events=num_events,
        starts=starts,
        times=times,
        begins=begins,
    )


def _favourites(random: np.random.Generator, leaning: Floats, genre_vectors: Floats) -> Floats:
    """Unit vectors [n, NUM_DIMENSIONS] near three genres of each user, with a part that no genre explains."""
    genres = np.argsort(-(leaning + random.gumbel(size=leaning.shape)), axis=1)[:, :3]
    mixed = np.einsum("nk,nkd->nd", random.dirichlet([3.0, 2.0, 1.0], size=len(leaning)), genre_vectors[genres])
    return unit(mixed + 0.12 * random.standard_normal(mixed.shape))


def _times(
    random: np.random.Generator, config: DenseConfig, num_events: Ints, starts: Ints
) -> tuple[FloatColumn, Flags]:
    """Unix seconds of all events, and which events begin a sitting.

    Most users arrive early in the log, so that it dies out. Breaks are shortened for users who would stay longer than
    their part of the time that is left.
    """
    num, total = len(num_events), int(num_events.sum())
    user = np.repeat(np.arange(num), num_events)
    returns = np.where(random.random(num) < ONE_SITTING, 0, random.geometric(0.4, size=num))
    begins = random.random(total) < (returns / num_events)[user]
    begins[starts] = True
    gaps = GAP_SECONDS * np.exp(0.9 * random.standard_normal(total))
    gaps[random.random(total) < LONG_GAPS] *= 20.0
    gaps = np.maximum(np.rint(gaps), 1.0)
    breaks = np.where(begins, DAY * RETURN_DAYS * np.exp(1.5 * random.standard_normal(total)), 0.0)
    breaks[starts] = 0.0
    arrival = config.log_start + config.num_seconds * random.beta(*ARRIVAL, size=num)
    acting, away = np.add.reduceat(gaps, starts), np.add.reduceat(breaks, starts)
    arrival = np.minimum(arrival, config.log_start + config.num_seconds - acting - 1.0)
    room = (config.log_start + config.num_seconds - arrival - acting) * random.beta(*STAY, size=num)
    breaks *= np.minimum(1.0, room / np.maximum(away, 1.0))[user]
    passed = np.cumsum(gaps + np.floor(breaks))
    times = np.floor(arrival)[user] + passed - passed[starts][user]
    return times, begins
