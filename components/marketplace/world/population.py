"""The users of the marketplace: profiles, activity, and hidden tastes that only the world knows.

Taste has three parts: a lasting interest in categories (influenced by age, gender and country), a style vector that
rotates slowly in a plane, and a mission, a category of interest for about a week.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.marketplace.config import LOG_START, MarketplaceConfig
from components.marketplace.world.catalogue import NUM_STYLES, Floats, Ints
from components.marketplace.world.chance import FloatColumn, generator, uniform
from components.marketplace.world.vocabulary import (
    AGE_GROUPS,
    AGE_SHARES,
    CATEGORIES,
    COUNTRIES,
    GENDER_SHARES,
    GENDERS,
)
from feature_repo.dataset.split import DAY

TURN_DAYS = (120.0, 400.0)  # range of the duration of a full turn of a user's style
FAVOURITES = np.array([1.2, 1.6, 2.2])  # added to the interest in a user's three favourite categories
MISSION_DAYS = (5.0, 11.0)


@dataclass(frozen=True, slots=True)
class Population:
    """n users as columns.

    Attributes:
        user_ids: Text [n].
        country, age_group, gender, language: Codes [n] into the vocabulary; gender -1 is unknown.
        signup_at: Unix seconds [n]; a user has no session before sign-up.
        has_profile: Whether users.parquet has a row for the user [n]; the other users are guests.
        activity: Relative rate of sessions [n], mean about 1.
        mobile: Share of the user's sessions on a mobile device [n].
        interest: Lasting interest in each category in logits [n, categories].
        style_from, style_to: The plane in which style turns: orthonormal vectors [n, NUM_STYLES].
        turn_rate, turn_phase: Radians per second, and the starting angle [n].
        price_level: Preferred price, in spreads of a category's log prices from its median [n].
        mission_seconds, mission_phase: Length of a mission, and the offset of the first mission [n].
    """

    user_ids: tuple[str, ...]
    country: Ints
    age_group: Ints
    gender: Ints
    language: tuple[str, ...]
    signup_at: FloatColumn
    has_profile: npt.NDArray[np.bool_]
    activity: FloatColumn
    mobile: FloatColumn
    interest: Floats
    style_from: Floats
    style_to: Floats
    turn_rate: FloatColumn
    turn_phase: FloatColumn
    price_level: Floats
    mission_seconds: FloatColumn
    mission_phase: FloatColumn

    def __len__(self) -> int:
        return len(self.user_ids)

    def style(self, users: Ints, times: FloatColumn) -> Floats:
        """Style of users [n] at times [n]: unit vectors [n, NUM_STYLES]."""
        angle = (self.turn_phase[users] + self.turn_rate[users] * (times - LOG_START))[:, None]
        turned: Floats = (np.cos(angle) * self.style_from[users] + np.sin(angle) * self.style_to[users]).astype(
            np.float32
        )
        return turned

    def mission(self, seed: int, users: Ints, times: FloatColumn) -> Ints:
        """The mission category of users [n] at times [n], drawn for each mission in proportion to lasting interest."""
        slot = np.floor((times - LOG_START + self.mission_phase[users]) / self.mission_seconds[users])
        draw = uniform(seed, "mission", users, slot.astype(np.int64))
        weight = np.exp(0.8 * self.interest[users])
        cumulative = np.cumsum(weight, axis=1)
        drawn: Ints = (cumulative < draw[:, None] * cumulative[:, -1:]).sum(axis=1).astype(np.int32)
        return drawn


def make_population(config: MarketplaceConfig) -> Population:
    """The population of a configuration; the injected shift does not change it."""
    random = generator(config.seed, "population")
    num = config.num_users
    country = random.choice(len(COUNTRIES), size=num, p=[market.share for market in COUNTRIES]).astype(np.int32)
    age_group = random.choice(len(AGE_GROUPS), size=num, p=AGE_SHARES).astype(np.int32)
    gender = random.choice(len(GENDERS), size=num, p=GENDER_SHARES).astype(np.int32)
    spread = config.activity_spread
    activity = np.exp(spread * random.standard_normal(num) - spread**2 / 2)
    plane = np.linalg.qr(random.standard_normal((num, NUM_STYLES, 2)))[0]
    mission_days = random.uniform(*MISSION_DAYS, size=num)
    languages = [
        COUNTRIES[code].language if draw > 0.12 else "en"
        for code, draw in zip(country, random.random(num), strict=True)
    ]
    return Population(
        user_ids=tuple(f"u{number:05d}" for number in range(1, num + 1)),
        country=country,
        age_group=age_group,
        gender=np.where(random.random(num) < 0.05, -1, gender).astype(np.int32),
        language=tuple(languages),
        signup_at=_signups(random, config),
        has_profile=random.random(num) > 0.01,
        activity=np.minimum(activity, 12.0),
        mobile=random.beta(2.4, 1.2, size=num),
        interest=_interest(random, country, age_group, gender),
        style_from=plane[:, :, 0].astype(np.float32),
        style_to=plane[:, :, 1].astype(np.float32),
        turn_rate=random.choice([-1.0, 1.0], size=num) * 2 * np.pi / (random.uniform(*TURN_DAYS, size=num) * DAY),
        turn_phase=random.uniform(0, 2 * np.pi, size=num),
        price_level=(0.9 * random.standard_normal(num)).astype(np.float32),
        mission_seconds=mission_days * DAY,
        mission_phase=random.random(num) * mission_days * DAY + 60 * DAY,
    )


def _signups(random: np.random.Generator, config: MarketplaceConfig) -> FloatColumn:
    """Sign-up times: most before the log, some during the log, and the share of new users in its last days."""
    num = config.num_users
    before = LOG_START - random.exponential(300, size=num).clip(0.1, 1500) * DAY
    during = LOG_START + random.uniform(0, config.num_days - config.new_days, size=num) * DAY
    lately = config.log_end - random.uniform(0.25, config.new_days, size=num) * DAY
    place = random.permutation(num)
    num_new = max(3, round(config.new_users * num))
    signup: FloatColumn = np.where(place < num_new, lately, np.where(place < num_new + 0.10 * num, during, before))
    return np.floor(signup)


def _interest(random: np.random.Generator, country: Ints, age_group: Ints, gender: Ints) -> Floats:
    """Interest in logits: effects of country, age and gender, three favourite categories, and a little noise."""
    num, shelves = len(country), len(CATEGORIES)
    leaning = (
        0.35 * random.standard_normal((len(COUNTRIES), shelves))[country]
        + 0.5 * random.standard_normal((len(AGE_GROUPS), shelves))[age_group]
        + 0.4 * random.standard_normal((len(GENDERS), shelves))[gender]
    )
    favourites = np.argsort(leaning + random.gumbel(size=(num, shelves)), axis=1)[:, -3:]
    interest = leaning + 0.25 * random.standard_normal((num, shelves)) - 0.6
    interest[np.arange(num)[:, None], favourites] += FAVOURITES
    return interest.astype(np.float32)
