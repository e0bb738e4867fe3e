"""Parameters of the dense log."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.marketplace.config import LOG_START
from feature_repo.dataset.split import DAY


class DenseConfig(BaseModel):
    """Parameters of the dense log.

    Attributes:
        size: Name of the size; the dataset is called `simulated-<size>`.
        seed: Seed of every random choice.
        num_users, num_items: Size of the audience and of the catalogue.
        mean_events, minimum_events, maximum_events: Events of a user.
        num_days: Calendar days from the first arrival to the end of the log.
        follow_share: Share of choices that follow one of the last films instead of taste.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Literal["dense", "dense-tiny"]
    seed: int = Field(default=0, ge=0, lt=2**31)
    num_users: int = Field(ge=20)
    num_items: int = Field(ge=100)
    mean_events: float = Field(ge=5)
    minimum_events: int = Field(default=20, ge=5)
    maximum_events: int = Field(ge=20)
    num_days: int = Field(default=1_000, ge=30)
    follow_share: float = Field(default=0.65, ge=0, le=1)

    @model_validator(mode="after")
    def _films_suffice(self) -> Self:
        if self.maximum_events > self.num_items // 2:
            raise ValueError("maximum_events is above half of num_items, and no user takes an item twice")
        return self

    @property
    def log_start(self) -> float:
        """Unix seconds of the first day; the log ends a few weeks after the start of the other simulated logs."""
        return LOG_START - (self.num_days - 30) * DAY

    @property
    def num_seconds(self) -> float:
        """Length of the log in seconds."""
        return self.num_days * DAY
