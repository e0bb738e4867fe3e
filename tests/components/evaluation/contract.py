"""Contract 2 read a second time: what is right, from a dataset directory of contract 1, in plain Python.

Shares nothing with the components: neither prepared tables, nor the split, nor the metrics.
"""

from __future__ import annotations

import math
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

DAY = 86_400_000_000
YEAR = 365 * DAY
MOMENT = "epoch_us(timestamp)"
Pair = tuple[str, str]


@dataclass(frozen=True)
class Expected:
    """What a protocol asks.

    Attributes:
        relevant: User -> items that count as hits.
        banned: User and item of pairs that no list may hold.
        items: The catalogue.
        slices: Slice -> number of its users.
    """

    relevant: Mapping[str, set[str]]
    banned: set[Pair]
    items: set[str]
    slices: Mapping[str, int]


@dataclass(frozen=True)
class Event:
    """A clean event; time in microseconds, grade -1 for negative, 0 for context."""

    user: str
    item: str
    time: int
    grade: int


class RawDataset:
    """A dataset directory without renames whose tables are single files."""

    def __init__(self, directory: Path) -> None:
        self.config: dict[str, Any] = tomllib.loads((directory / "dataset.toml").read_text())
        self._directory = directory
        self.repeats: str = self.config["recommend"]["repeats"]
        self.strongest = len(self.config["objectives"])
        self.events = self._clean()

    def _rows(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        """Columns of the distinct rows of a file, in its order, each row where it first stands."""
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            source = f"read_parquet('{self._directory / table}.parquet', file_row_number=true)"
            names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
            whole = ", ".join(name for name in names if name != "file_row_number")
            return connection.execute(
                f"SELECT {columns} FROM (SELECT {whole}, min(file_row_number) AS place FROM {source} GROUP BY ALL) "
                "ORDER BY place"
            ).fetchall()

    def _grades(self) -> dict[str, int]:
        grades = dict.fromkeys(self.config["events"]["negative"], -1)
        for grade, kinds in enumerate(self.config["objectives"].values(), start=1):
            grades |= dict.fromkeys(kinds, grade)
        return grades

    def _clean(self) -> list[Event]:
        """Events that keep every rule and are no bot's, by time with ties in file order."""
        grades, allowed = self._grades(), set(self.config["events"]["allowed"])
        rows = self._rows("interactions", "user_id, item_id, event_type, epoch_us(timestamp), price")
        latest = _last_plausible([row[3] for row in rows])
        clean = [
            Event(user, item, moment, grades.get(kind, 0))
            for user, item, kind, moment, price in rows
            if None not in (user, item, kind, moment)
            and (price is None or price >= 0)
            and moment <= latest
            and (kind in grades or kind in allowed)
        ]
        days = Counter((event.user, event.time // DAY) for event in clean)
        most = self.config["quality"]["maximum_daily_events"]
        bots = {user for (user, _), count in days.items() if count > most}
        return sorted((event for event in clean if event.user not in bots), key=lambda event: event.time)

    def _catalogue(self) -> set[str]:
        listed = {row[0] for row in self._rows("items", "item_id, price") if row[1] is None or row[1] >= 0}
        shown = {row[0] for row in self._rows("impressions", "item_id")}
        return (listed | shown | {event.item for event in self.events}) - {None}

    def temporal(self) -> Expected:
        """The temporal protocol with declared test days."""
        shown = [row[0] for row in self._rows("impressions", "epoch_us(timestamp)")]
        end = max(self.events[-1].time, _last_plausible(shown))
        start = end - self.config["split"]["test_days"] * DAY
        before = [event for event in self.events if event.time < start]
        least = {"never": 1, "until-converted": self.strongest, "always": math.inf}[self.repeats]
        banned = {(event.user, event.item) for event in before if event.grade >= least}
        own = {(event.user, event.item) for event in before if event.grade > 0}
        known, old = {event.user for event in before}, {event.item for event in before}
        taken: dict[str, set[str]] = defaultdict(set)
        for event in self.events:
            if event.time >= start and event.grade > 0:
                taken[event.user].add(event.item)

        def left(users: set[str], without: set[Pair]) -> dict[str, set[str]]:
            kept = {user: {item for item in taken[user] if (user, item) not in without} for user in users}
            return {user: items for user, items in kept.items() if items}

        relevant = left(set(taken) & known, banned)
        slices = {
            "cold_users": len(set(taken) - known),
            "cold_items": sum(not items <= old for items in relevant.values()),
        }
        if self.repeats != "never":
            slices["new_items"] = len(left(set(taken) & known, own))
        return Expected(relevant, banned, self._catalogue(), slices)

    def rolling(self, asked: Collection[tuple[str, int]]) -> Expected:
        """The requests (user, time) of the rolling protocol; queries are named "user time"."""
        end = max(self.events[-1].time, _last_plausible([row[0] for row in self._rows("impressions", MOMENT)]))
        start = end - self.config["split"]["test_days"] * DAY
        slates = self.slates()
        assert set(asked) <= set(slates)
        assert all(start <= moment <= end - DAY for _, moment in asked)
        least = {"never": 1, "until-converted": self.strongest, "always": math.inf}[self.repeats]
        of_user: dict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            of_user[event.user].append(event)
        relevant: dict[str, set[str]] = {}
        banned: set[Pair] = set()
        for user, moment in asked:
            name = f"{user} {moment}"
            before = [event for event in of_user[user] if event.time < moment]
            assert before
            mine = {event.item for event in before if event.grade >= least}
            banned |= {(name, item) for item in mine}
            inside = {event.item for event in of_user[user] if moment <= event.time < moment + DAY and event.grade > 0}
            relevant[name] = inside - mine
            assert relevant[name]
        return Expected(relevant, banned, self._catalogue(), {})

    def slates(self) -> list[tuple[str, int]]:
        """User and first moment of every request."""
        first: dict[tuple[str, str], int] = {}
        for user, request, moment in self._rows("impressions", f"user_id, request_id, {MOMENT}"):
            key = user, request
            first[key] = min(first.get(key, moment), moment)
        return [(user, moment) for (user, _), moment in first.items()]

    def leave_one_out(self) -> Expected:
        """The last item of every user with three events, of items with five."""
        positive = [event for event in self.events if event.grade > 0]
        counts = Counter(event.item for event in positive)
        items = {item for item, count in counts.items() if count >= 5}
        sequences: dict[str, list[str]] = defaultdict(list)
        for event in positive:
            if event.item in items and (self.repeats == "always" or event.item not in sequences[event.user]):
                sequences[event.user].append(event.item)
        long = {user: sequence for user, sequence in sequences.items() if len(sequence) >= 3}
        banned = {(user, item) for user, sequence in long.items() for item in sequence[:-1]}
        return Expected(
            {user: {sequence[-1]} for user, sequence in long.items()},
            set() if self.repeats == "always" else banned,
            items,
            {},
        )


def figures(lists: Mapping[str, Sequence[str]], expected: Expected) -> dict[str, float]:
    """Every figure of a method that lists of a hundred give, by its definition."""
    sums: dict[str, float] = defaultdict(float)
    shown: set[str] = set()
    for user, relevant in expected.relevant.items():
        ranked = list(lists.get(user, []))
        shown |= set(ranked[:10])
        places = [place for place, item in enumerate(ranked) if item in relevant]
        for k in (10, 20):
            ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(relevant))))
            sums[f"ndcg@{k}"] += sum(1 / math.log2(place + 2) for place in places if place < k) / ideal
        for k in (20, 100):
            sums[f"recall@{k}"] += sum(place < k for place in places) / len(relevant)
        top = [place for place in places if place < 10]
        sums["hr@10"] += bool(top)
        sums["mrr@10"] += 1 / (top[0] + 1) if top else 0
        sums["map@10"] += sum((hit + 1) / (place + 1) for hit, place in enumerate(top)) / min(10, len(relevant))
    means = {name: value / len(expected.relevant) for name, value in sums.items()}
    return means | {"coverage@10": len(shown) / len(expected.items)}


def _last_plausible(moments: Sequence[int | None]) -> int:
    """The latest time of a log without a few rows dated ahead or far behind a gap of a year."""
    ahead = int((time.time() + 86_400) * 1_000_000)
    known = sorted(moment for moment in moments if moment is not None and moment <= ahead)
    few = int(0.001 * len(moments))
    for place in range(len(known) - few, len(known)):
        if known[place] - known[place - 1] > YEAR:
            return known[place - 1]
    return known[-1]
