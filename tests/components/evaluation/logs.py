"""Small event logs and tasks written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from components.evaluation.baselines.method import Listed
from components.evaluation.bootstrap import Scores
from components.evaluation.protocols.log import EventLog, Ragged
from feature_repo.dataset.split import DAY_MICROSECONDS

START = 1_700_000_000 * 1_000_000
ABOUT = {"dataset": "taste", "protocol": "temporal", "recipe": "fast", "seconds": {"total": 1.0}, "from_slates": 0.0}


def ragged(sets: Sequence[Sequence[int]]) -> Ragged:
    owners = np.array([owner for owner, rows in enumerate(sets) for _ in rows], dtype=np.int64)
    return Ragged.from_pairs(owners, np.array([row for rows in sets for row in rows], dtype=np.int64), len(sets))


def log(events: Sequence[tuple[int, int, float, int]], *, num_users: int = 0, num_items: int = 0) -> EventLog:
    """Events (user, item, day, grade), sorted by day, ties in the order given."""
    events = sorted(events, key=lambda event: event[2])
    num_users = max([num_users, *(event[0] + 1 for event in events)])
    num_items = max([num_items, *(event[1] + 1 for event in events)])
    columns = list(zip(*events, strict=True)) or [(), (), (), ()]
    return EventLog(
        user_ids=np.array([f"u{user:04d}" for user in range(num_users)], dtype=object),
        item_ids=np.array([f"i{item:04d}" for item in range(num_items)], dtype=object),
        users=np.array(columns[0], dtype=np.int32),
        rows=np.array(columns[1], dtype=np.int32),
        times=np.array([START + round(day * DAY_MICROSECONDS) for day in columns[2]], dtype=np.int64),
        grades=np.array(columns[3], dtype=np.int8),
    )


def of_users(values: Mapping[str, np.ndarray]) -> Scores:
    """Scores with one observation per user, and no other unit."""
    num = len(next(iter(values.values())))
    return Scores(values, np.ones(num), {"users": np.arange(num)})


def at(day: float) -> int:
    return START + round(day * DAY_MICROSECONDS)


def lists(rows: Mapping[int, Sequence[int]], length: int = 20) -> Listed:
    """A method that lists the given rows for each user."""
    users = sorted(rows)
    table = [list(rows[user]) + [-1] * (length - len(rows[user])) for user in users]
    return Listed(np.array(users, dtype=np.int32), np.array(table, dtype=np.int32).reshape(len(users), length))


@dataclass
class Taste:
    """A random world: users take items of their own taste, popularity is skewed; deterministic by seed."""

    num_users: int = 300
    num_items: int = 80
    num_tastes: int = 4
    days: int = 28
    events_per_user: int = 12
    seed: int = 0
    events: list[tuple[int, int, float, int]] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        appeal = rng.pareto(4.0, self.num_items) + 0.2
        self.events = []
        for user in range(self.num_users):
            fits = np.where(np.arange(self.num_items) % self.num_tastes == user % self.num_tastes, 12.0, 1.0)
            share = appeal * fits / (appeal * fits).sum()
            for row in rng.choice(self.num_items, self.events_per_user, p=share):
                self.events.append((user, int(row), float(rng.uniform(0, self.days)), int(rng.integers(1, 3))))

    def log(self) -> EventLog:
        return log(self.events, num_users=self.num_users, num_items=self.num_items)
