"""Parameters of the news log."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from components.marketplace.config import LOG_START
from feature_repo.dataset.split import DAY


class NewsConfig(BaseModel):
    """Parameters of the news log.

    Attributes:
        size: Name of the size; the dataset is called `simulated-<size>`.
        seed: Seed of every random choice.
        num_users, num_items: Readers, and articles from three days before the log to its end.
        num_days: Length of the log in days.
        mean_sessions, maximum_sessions: Sessions of a reader who is there for the whole log.
        half_life_hours: Median half-life of an article's attention.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Literal["news", "news-tiny"]
    seed: int = Field(default=0, ge=0, lt=2**31)
    num_users: int = Field(ge=20)
    num_items: int = Field(ge=100)
    num_days: int = Field(ge=4)
    mean_sessions: float = Field(ge=2)
    maximum_sessions: int = Field(default=120, ge=2)
    half_life_hours: float = Field(default=6.0, gt=0)

    @property
    def log_end(self) -> float:
        """Unix seconds at which the last day ends."""
        return LOG_START + self.num_days * DAY
