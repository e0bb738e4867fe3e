"""Parameters of the simulated marketplace: sizes, planted defects, and injected shifts.

Two worlds with equal configurations are identical. A `Shift` changes behaviour from its first day; users, items and
all earlier days stay the same.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from components.marketplace.world.vocabulary import CATEGORIES
from feature_repo.dataset.split import DAY
from feature_repo.errors import SettingsError

Size = Literal["tiny", "small", "large"]
NamedCategories = TypeVar("NamedCategories", dict[str, float], tuple[str, ...])

LOG_START = 1_740_960_000.0  # 2025-03-03T00:00:00Z, a Monday in the past, so that no row is in the future by accident


class Shift(BaseModel):
    """Drift injected from a given day.

    Attributes:
        from_day: First day of the shifted world (0 is the log's first day); None for no shift.
        price_factor: Factor on every price.
        category_boost: Category name -> logits added to every user's interest in it (1.0 is strong).
        mobile_share: Share of sessions on a mobile device; None keeps each user's share.
        sold_out: Categories without any item in stock.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_day: int | None = None
    price_factor: float = Field(default=1.0, gt=0)
    category_boost: dict[str, float] = Field(default_factory=dict)
    mobile_share: float | None = Field(default=None, ge=0, le=1)
    sold_out: tuple[str, ...] = ()

    @field_validator("category_boost", "sold_out")
    @classmethod
    def _known(cls, named: NamedCategories) -> NamedCategories:
        names = [category.name for category in CATEGORIES]
        for name in named:
            if name not in names:
                raise ValueError(f"the category {name!r} does not exist; choose from {', '.join(names)}")
        return named

    def active(self, day: int) -> bool:
        """Whether the world is shifted on `day`."""
        return self.from_day is not None and day >= self.from_day


class Defects(BaseModel):
    """Bad rows planted in the tables, as shares of the clean interactions (impressions: of the clean impressions)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    null_users: float = Field(default=0.005, ge=0, le=1)
    null_items: float = Field(default=0.004, ge=0, le=1)
    duplicates: float = Field(default=0.003, ge=0, le=1)
    negative_prices: float = Field(default=0.001, ge=0, le=1)
    unknown_types: float = Field(default=0.001, ge=0, le=1)
    impression_nulls: float = Field(default=0.001, ge=0, le=1)
    far_future: bool = True


class MarketplaceConfig(BaseModel):
    """All parameters of the world and its log.

    Attributes:
        size: Name of the size; the dataset is called `simulated-<size>`.
        seed: Seed of every random choice.
        num_users, num_items: Size of the population and the catalogue at the log's end.
        num_days: Length of the log in days.
        num_impressions: Approximate total number of impressions.
        activity_spread: Standard deviation of the logarithm of user activity.
        new_users, new_items: Share that arrives in the last `new_days` days.
        spike_factor: Ratio of sessions on the spike day to sessions on an ordinary day.
        num_bots, bot_events: Number of bots, and events of each bot on its single active day.
        maximum_daily_events: Written to dataset.toml; a user with more events a day counts as a bot.
        split_days: (validation, test) days written to dataset.toml; None keeps the default.
        defects: Shares of bad rows.
        shift: Injected drift.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Size
    seed: int = Field(default=0, ge=0, lt=2**31)
    num_users: int = Field(ge=20)
    num_items: int = Field(ge=100)
    num_days: int = Field(ge=8)
    num_impressions: int = Field(ge=100)
    activity_spread: float = Field(default=0.8, ge=0)
    new_users: float = Field(default=0.03, ge=0, le=0.5)
    new_items: float = Field(default=0.02, ge=0, le=0.5)
    new_days: int = Field(default=5, ge=1, le=6)
    spike_factor: float = Field(default=2.6, ge=1)
    num_bots: int = Field(default=2, ge=0)
    bot_events: int = Field(default=1_080, ge=1)
    maximum_daily_events: int = Field(default=1_000, ge=1)
    split_days: tuple[int, int] | None = None
    defects: Defects = Defects()
    shift: Shift = Shift()

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return f"simulated-{self.size}"

    @property
    def log_end(self) -> float:
        """Unix seconds at which the last day ends."""
        return LOG_START + self.num_days * DAY

    @property
    def spike_day(self) -> int:
        """The day of the volume spike, an ordinary weekday in the first half of the log."""
        return (3 * self.num_days) // 10


SIZES: dict[str, dict[str, object]] = {
    "tiny": {
        "num_users": 440,
        "num_items": 200,
        "num_days": 21,
        "num_impressions": 36_000,
        "activity_spread": 0.25,
        "num_bots": 1,
        "bot_events": 75,
        "maximum_daily_events": 60,
        "split_days": (4, 7),
    },
    "small": {"num_users": 5_000, "num_items": 3_000, "num_days": 30, "num_impressions": 400_000},
    "large": {
        "num_users": 100_000,
        "num_items": 50_000,
        "num_days": 30,
        "num_impressions": 10_000_000,
        "num_bots": 20,
    },
}


def config_for(size: str, seed: int = 0, **changes: object) -> MarketplaceConfig:
    """The configuration of a named size, with some fields changed.

    Raises:
        SettingsError: The size does not exist, or a field is out of bounds.
    """
    if size not in SIZES:
        raise SettingsError(f"The marketplace size {size!r} does not exist: choose from {', '.join(SIZES)}.")
    try:
        return MarketplaceConfig.model_validate({"size": size, "seed": seed, **SIZES[size], **changes})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"The marketplace refuses {name} = {first['input']!r}: {first['msg']}.") from error
