"""A small release from arrays: 300 items, users by number, a user tower that averages the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.requests import REQUEST_NUMERIC
from feature_repo.features.state import FloatArray, History, IntArray, ItemColumns, OwnItems, TimeArray, UserColumns
from inference.candidates.query import Query
from inference.hydrators.protocol import UserReader
from inference.models.artifacts import Artifacts
from inference.models.contents import Contents
from inference.models.index import ItemIndex
from inference.models.neighbours import Neighbours
from inference.models.popularity import Popularity
from inference.models.towers import Towers
from inference.recommender import Recommender
from inference.scorers.protocol import Scorer
from inference.sources import configured
from inference.stages import Stages

NOW = 1_700_000_000.0
DAY = 86_400.0
NUM_ITEMS = 300
NUM_USERS = 80
DIMENSION = 16
COUNTRIES = ("DE", "GB")
CATEGORIES = ("Lamps", "Mugs", "Bags", "7")
AGES = ("18-24", "<18", "65+", "unknown")


def item_id(row: int) -> str:
    return f"i{row:04d}"


def feature_set(repeats: str = "until-converted") -> FeatureSet:
    return FeatureSet(
        objectives=("click", "convert"),
        repeats=repeats,
        user_numeric=("num_click_7d", "num_sessions_total"),
        user_categorical=("country", "age_group"),
        item_numeric=("num_click_7d", "log_price"),
        item_categorical=("category",),
        request_numeric=REQUEST_NUMERIC,
        request_categorical=("country", "surface"),
        cross_numeric=("own_count", "own_negatives", "history_contains"),
        sources=("two_tower", "covisitation", "own", "popular"),
        vocabularies={
            "users.country": COUNTRIES,
            "users.age_group": AGES,
            "items.category": CATEGORIES,
            "request.country": COUNTRIES,
            "request.surface": ("home", "email"),
        },
    )


@dataclass
class Store:
    """Knows the users "u0".."u79"; every user has 12 events, on items of one taste."""

    features: FeatureSet
    broken: Exception | None = None

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        if self.broken is not None:
            raise self.broken
        numbers = [int(user[1:]) if user[:1] == "u" and user[1:].isdigit() else -1 for user in user_ids]
        known = np.array([0 <= number < NUM_USERS for number in numbers])
        events = [self._events(number) if know else [] for number, know in zip(numbers, known, strict=True)]
        offsets = np.concatenate(([0], np.cumsum([len(part) for part in events]))).astype(np.int64)
        flat = [event for part in events for event in part]
        history = History(
            offsets,
            np.array([row for row, _, _ in flat], dtype=np.int32),
            np.array([grade for _, grade, _ in flat], dtype=np.int8),
            np.array([time for _, _, time in flat], dtype=np.float64),
        )
        own: list[dict[int, tuple[int, int, float, float]]] = [{} for _ in events]
        for place, part in enumerate(events):
            for row, grade, time in part:
                count, best, first, last = own[place].get(row, (0, 0, time, time))
                own[place][row] = (count + 1, max(best, grade), min(first, time), max(last, time))
        rows = [(row, *own[place][row]) for place in range(len(events)) for row in sorted(own[place])]
        own_offsets = np.concatenate(([0], np.cumsum([len(part) for part in own]))).astype(np.int64)
        columns = list(zip(*rows, strict=True)) or [()] * 5
        numeric = np.full((len(user_ids), 2), np.nan, dtype=np.float32)
        numeric[known] = 3.0
        categorical = np.zeros((len(user_ids), 2), dtype=np.int32)
        country = np.full(len(user_ids), "", dtype=object)
        for place, number in enumerate(numbers):
            if known[place]:
                country[place] = COUNTRIES[number % 2]
                categorical[place] = (number % 2 + 1, number % 5)
        return UserColumns(
            known=known,
            numeric=numeric,
            categorical=categorical,
            country=country,
            history=history,
            own=OwnItems(
                own_offsets,
                np.array(columns[0], dtype=np.int32),
                np.array(columns[1], dtype=np.float32),
                np.zeros(len(rows), dtype=np.float32),
                np.array(columns[2], dtype=np.int8),
                np.array(columns[3], dtype=np.float64),
                np.array(columns[4], dtype=np.float64),
            ),
        )

    def _events(self, number: int) -> list[tuple[int, int, float]]:
        rng = np.random.default_rng(number)
        rows = (number % 4) + 4 * rng.integers(0, NUM_ITEMS // 4, 12)
        grades = rng.integers(1, 3, 12)
        return [
            (int(row), int(grade), NOW - DAY * (12 - k))
            for k, (row, grade) in enumerate(zip(rows, grades, strict=True))
        ]


class MeanEncoder:
    """Stands in for the user tower through its protocol."""

    def __init__(self, embeddings: FloatArray) -> None:
        self.embeddings = embeddings

    def encode(self, users: UserColumns, queries: Sequence[Query]) -> FloatArray:
        vectors = np.full((len(users), self.embeddings.shape[1]), 1e-3, dtype=np.float32)
        owners = np.repeat(np.arange(len(users)), np.diff(users.history.offsets))
        np.add.at(vectors, owners, self.embeddings[users.history.rows])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def embeddings() -> FloatArray:
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(4, DIMENSION))
    vectors = centres[np.arange(NUM_ITEMS) % 4] + 0.5 * rng.normal(size=(NUM_ITEMS, DIMENSION))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def items(**changes: Any) -> ItemColumns:
    rng = np.random.default_rng(3)
    available = np.ones(NUM_ITEMS, dtype=bool)
    available[::17] = False
    created = np.full(NUM_ITEMS, np.nan)
    created[5::29] = NOW + DAY
    regions = np.full(NUM_ITEMS, "", dtype=object)
    regions[3::23] = "DE|FR"
    min_age = np.zeros(NUM_ITEMS, dtype=np.float32)
    min_age[4::31] = 18
    numeric = np.column_stack([rng.poisson(5, NUM_ITEMS), rng.normal(2, 1, NUM_ITEMS)]).astype(np.float32)
    columns: dict[str, Any] = {
        "item_ids": np.array([item_id(row) for row in range(NUM_ITEMS)], dtype=object),
        "numeric": numeric,
        "categorical": (np.arange(NUM_ITEMS, dtype=np.int32) % 4 + 1)[:, None],
        "price": np.exp(numeric[:, 1]),
        "available": available,
        "created_at": created,
        "regions": regions,
        "min_age": min_age,
    }
    return ItemColumns(**{**columns, **changes})


def neighbours(vectors: FloatArray | None = None) -> Neighbours:
    """Each item's 10 nearest embeddings."""
    vectors = embeddings() if vectors is None else vectors
    close = vectors @ vectors.T
    np.fill_diagonal(close, -1)
    rows = np.argsort(-close, axis=1)[:, :10]
    weights = np.take_along_axis(close, rows, axis=1)
    return Neighbours(
        np.arange(len(vectors) + 1, dtype=np.int64) * 10,
        rows.reshape(-1).astype(np.int32),
        np.clip(weights, 0.01, 1).reshape(-1).astype(np.float32),
    )


def popularity() -> Popularity:
    rng = np.random.default_rng(11)
    rows = np.minimum(rng.geometric(0.02, 20_000) - 1, NUM_ITEMS - 1).astype(np.int32)
    countries = np.array(COUNTRIES, dtype=object)[rng.integers(0, 2, len(rows))]
    rows = np.where(countries == "GB", NUM_ITEMS - 1 - rows, rows).astype(np.int32)
    return Popularity.fit(
        rows,
        NOW - rng.uniform(0, 30 * DAY, len(rows)),
        countries,
        np.ones(len(rows), dtype=np.int8),
        num_items=NUM_ITEMS,
        as_of=NOW,
        half_life_days=7,
    )


@dataclass(frozen=True)
class Log:
    """Positive events of the world, as parts of sources are fitted from them."""

    users: IntArray
    sessions: np.ndarray
    rows: IntArray
    times: TimeArray
    grades: np.ndarray
    countries: np.ndarray


def positive_events(num: int = 2_000) -> Log:
    rng = np.random.default_rng(5)
    users = rng.integers(0, NUM_USERS, num).astype(np.int32)
    return Log(
        users=users,
        sessions=users.astype(np.int64),
        rows=rng.integers(0, NUM_ITEMS, num).astype(np.int32),
        times=np.sort(NOW - rng.uniform(0, 30 * DAY, num)),
        grades=np.ones(num, dtype=np.int8),
        countries=np.array(COUNTRIES, dtype=object)[users % 2],
    )


def contents() -> Contents:
    ids = [item_id(row) for row in range(NUM_ITEMS)]
    titles = [None if row % 50 == 0 else f"Thing {row}" for row in range(NUM_ITEMS)]
    table = pa.table({"item_id": ids, "title": titles, "category": [CATEGORIES[row % 4] for row in range(NUM_ITEMS)]})
    return Contents.from_table(table, np.array(ids, dtype=object))


def towers() -> Towers:
    vectors = embeddings()
    return Towers(MeanEncoder(vectors), ItemIndex.build(vectors), vectors)


def artifacts(repeats: str = "until-converted", *, with_towers: bool = True, **changes: Any) -> Artifacts:
    parts = [neighbours(), popularity(), *([towers()] if with_towers else [])]
    fields: dict[str, Any] = {
        "version": "v1",
        "feature_set": feature_set(repeats),
        "items": items(),
        "contents": contents(),
        "parts": {type(part): part for part in parts},
        "config": configured(
            verbs={"click": "viewed {}", "convert": "bought {}"}, event_grades={"click": 1, "purchase": 2}
        ),
    }
    return Artifacts(**{**fields, **changes})


def recommender(
    made: Artifacts, scorer: Scorer | None = None, users: UserReader | None = None, **options: Any
) -> Recommender:
    """The default stages over the world's users, or other ones."""
    return Recommender(made, Stages.of(made, users or Store(made.feature_set), scorer), **options)


def query(user: str = "u1", **changes: Any) -> Query:
    fields: dict[str, Any] = {"user_id": user, "time": NOW, "request_id": f"r-{user}", **changes}
    return Query(**fields)
