"""The ordered feature set: every column a model sees, its kind and its vocabulary.

Owns names, order and codes; two artifacts fit together exactly when their feature sets have the same hash. It refuses
to hold values: those come from snapshots and transforms. A column the dataset has no data for is left out rather
than carried as nothing but nulls.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from feature_repo.errors import BundleError, DatasetError
from feature_repo.files import write_json

if TYPE_CHECKING:
    from feature_repo.tables import PreparedTables

TRANSFORMS_VERSION = 3  # raise by hand whenever a snapshot or transform computes a column differently

WINDOWS = (1, 7, 30)  # days of the activity windows
RATE_WINDOWS = (7, 30)  # days of the smoothed rates
HALF_LIVES = (2, 7)  # days of the decayed popularities
OWN_HALF_LIVES = (3, 15, 60)  # days of the decayed counts of the user's own items
SOURCES = ("two_tower", "covisitation", "own", "popular")  # in the order of `CandidateSet.source_bits`
MAX_VOCABULARY = 50_000  # values a categorical column keeps, the most frequent first

USER_CATEGORICAL = ("country", "age_group", "gender", "language")
ITEM_CATEGORICAL = ("category", "brand", "seller_id")
REQUEST_CATEGORICAL = ("device", "country", "surface")
REQUEST_NUMERIC = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "session_length")
OWN_COLUMNS = (
    "own_count",
    "own_share_of_sessions",
    "own_days_since_last",
    "own_days_since_first",
    "own_mean_gap_days",
    "own_due",
    *(f"own_decayed_{days}d" for days in OWN_HALF_LIVES),
    "own_grade",
    "history_contains",
)

# Ages are computed when they are asked for; what is stored is the moment (unix seconds) they count from.
USER_AGES: Mapping[str, str] = {"days_since_last_event": "last_event_at", "days_since_signup": "signup_at"}
ITEM_AGES: Mapping[str, str] = {"age_days": "created_at"}

# What the recommender reads of an item beside the ranker's columns, and of what a user did; stored types.
ITEM_FACTS: Mapping[str, str] = {
    "price": "float64",
    "in_stock": "boolean",
    "created_at": "float64",
    "regions": "string",
    "min_age": "float64",
}
HISTORY_ARRAYS: Mapping[str, str] = {
    "history_ids": "string",
    "history_grades": "float64",
    "history_times": "float64",
    "own_ids": "string",
    "own_counts": "float64",
    "own_negatives": "float64",
    "own_grades": "float64",
    "own_first": "float64",
    "own_last": "float64",
}

OPTIONAL_FACTS = (
    *("impressions", "prices", "negatives", "users.signup_at"),
    *("items.category", "items.rating", "items.num_ratings"),
)
SNAPSHOT_KEYS = ("event_timestamp", "from_day", "to_day", "valid_from_us", "created_at_us", "signup_at_us")

Vocabulary = tuple[str, ...]


class FeatureSet(BaseModel):
    """Names in order, vocabularies, and what they depend on.

    Names of the snapshot columns are bare ("num_click_7d"); `ranker_features` prefixes them with their side
    ("item_num_click_7d") so that they are distinct. Vocabulary keys are "<side>.<column>" with side users, items or
    request; the code of a value is its place counted from 1, and 0 is missing or unknown.

    Attributes:
        transforms_version: Version of the code that computes the columns.
        objectives: Weakest first; the grade of an objective is its place counted from 1.
        repeats: Which of the user's own items may come again: never, until-converted or always.
        user_numeric, user_categorical: Columns of `UserColumns.numeric` and `.categorical`.
        item_numeric, item_categorical: Columns of `ItemColumns.numeric` and `.categorical`.
        user_extras, item_extras: The declared extra columns among the numeric ones.
        request_numeric, request_categorical: Columns computed from the query alone.
        cross_numeric: Columns computed from user and item together.
        sources: Retrieval sources in bit order.
        vocabularies: "<side>.<column>" -> values, most frequent first, frozen at fit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    transforms_version: int = TRANSFORMS_VERSION
    objectives: tuple[str, ...]
    repeats: str = "never"
    user_numeric: tuple[str, ...] = ()
    user_categorical: tuple[str, ...] = ()
    item_numeric: tuple[str, ...] = ()
    item_categorical: tuple[str, ...] = ()
    user_extras: tuple[str, ...] = ()
    item_extras: tuple[str, ...] = ()
    request_numeric: tuple[str, ...] = REQUEST_NUMERIC
    request_categorical: tuple[str, ...] = ()
    cross_numeric: tuple[str, ...] = ()
    sources: tuple[str, ...] = SOURCES
    vocabularies: Mapping[str, Vocabulary] = {}

    @classmethod
    def fit(cls, tables: PreparedTables) -> Self:
        """Chooses the columns the tables have data for and freezes the vocabularies.

        Raises:
            DatasetError: A declared extra column has the name of a column computed here.
        """
        config = tables.config
        vocabularies = _vocabularies(tables)
        present = _present(tables)
        _check_extras(tables)
        user_extras, item_extras = config.extras("users").numerical, config.extras("items").numerical
        return cls(
            objectives=tuple(tables.objectives),
            repeats=config.recommend.repeats,
            user_numeric=(*_user_numeric(tables.objectives, present), *user_extras),
            user_categorical=_columns_of("users", vocabularies),
            item_numeric=(*_item_numeric(tables.objectives, present), *item_extras),
            item_categorical=_columns_of("items", vocabularies),
            user_extras=user_extras,
            item_extras=item_extras,
            request_categorical=_columns_of("request", vocabularies),
            cross_numeric=_cross_numeric(config.recommend.repeats, present, vocabularies),
            vocabularies=vocabularies,
        )

    @cached_property
    def ranker_features(self) -> tuple[str, ...]:
        """Columns of the ranker's matrix, in order; see `transforms.assemble`."""
        return (
            *(f"item_{name}" for name in self.item_numeric),
            *(f"item_{name}" for name in self.item_categorical),
            *(f"user_{name}" for name in self.user_numeric),
            *(f"user_{name}" for name in self.user_categorical),
            *(f"request_{name}" for name in self.request_numeric),
            *(f"request_{name}" for name in self.request_categorical),
            *self.cross_numeric,
            *(f"score_{name}" for name in self.sources),
            *(f"rank_{name}" for name in self.sources),
        )

    @cached_property
    def categorical_indices(self) -> tuple[int, ...]:
        """Columns of the ranker's matrix that hold codes, not quantities."""
        names = {
            *(f"item_{name}" for name in self.item_categorical),
            *(f"user_{name}" for name in self.user_categorical),
            *(f"request_{name}" for name in self.request_categorical),
        }
        return tuple(index for index, name in enumerate(self.ranker_features) if name in names)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = True) -> Self:  # noqa: ARG002
        """A copy that computes its own hash; pydantic's would carry the one of the original along."""
        return type(self).model_validate({**self.model_dump(), **(update or {})})

    @cached_property
    def hash(self) -> str:
        """16 hex digits that change with any name, order, vocabulary or version of the transforms."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @cached_property
    def code_of(self) -> Mapping[str, Mapping[str, int]]:
        """Vocabulary key -> value -> code (from 1)."""
        return {
            key: {value: code for code, value in enumerate(values, start=1)}
            for key, values in self.vocabularies.items()
        }

    def vocabulary_size(self, key: str) -> int:
        """Number of codes of a vocabulary, 0 (missing or unknown) included."""
        return len(self.vocabularies[key]) + 1

    def save(self, path: Path) -> None:
        """Writes the set as JSON, atomically."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a set written by `save`.

        Raises:
            BundleError: The file is missing, damaged, or of other transforms than this code has.
        """
        try:
            loaded = cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BundleError(f"The feature set {path} cannot be read: {error}") from error
        if loaded.transforms_version != TRANSFORMS_VERSION:
            raise BundleError(
                f"The feature set {path} was made by version {loaded.transforms_version} of the transforms and this"
                f" code has version {TRANSFORMS_VERSION}: train again, or serve it with the code that made it."
            )
        return loaded


def _user_numeric(objectives: Sequence[str], present: frozenset[str]) -> list[str]:
    names = [f"num_{objective}_{days}d" for objective in objectives for days in WINDOWS]
    if "impressions" in present:
        names += [f"num_impressions_{days}d" for days in WINDOWS]
    if f"labels.{objectives[0]}" in present:
        names.append("ctr_30d")
    if len(objectives) > 1:
        names.append("conversion_30d")
    names += ["days_since_last_event", "num_sessions_total", "num_positive_total", "num_active_days_30d"]
    if "prices" in present:
        names += ["mean_log_price", "std_log_price", "mean_order_value"]
    if "users.signup_at" in present:
        names.append("days_since_signup")
    return names


def _item_numeric(objectives: Sequence[str], present: frozenset[str]) -> list[str]:
    names = [f"num_{objective}_{days}d" for objective in objectives for days in WINDOWS]
    if "impressions" in present:
        names += [f"num_impressions_{days}d" for days in WINDOWS]
    labelled = [objective for objective in objectives if f"labels.{objective}" in present]
    names += [f"smoothed_rate_{objective}_{days}d" for objective in labelled for days in RATE_WINDOWS]
    names += [f"popularity_{days}d" for days in HALF_LIVES]
    names += ["trend", "num_users_30d", "repeat_rate_30d"]
    if "negatives" in present:
        names.append("return_rate_30d")
    names.append("age_days")
    if "prices" in present:
        names.append("log_price")
        if "items.category" in present:
            names.append("price_to_category")
    if "items.rating" in present:
        names.append("rating")
    if "items.num_ratings" in present:
        names.append("log_num_ratings")
    return names


def _cross_numeric(repeats: str, present: frozenset[str], vocabularies: Mapping[str, Vocabulary]) -> tuple[str, ...]:
    names = list(OWN_COLUMNS) if repeats != "never" else []
    if "negatives" in present:
        names.append("own_negatives")
    for column in ITEM_CATEGORICAL:
        if f"items.{column}" in vocabularies:
            names += [f"history_share_{column}", f"days_since_{column}", f"anchor_same_{column}"]
    if "prices" in present:
        names += ["price_z_to_user", "anchor_price_ratio"]
    return tuple(names)


def _check_extras(tables: PreparedTables) -> None:
    """Refuses extra columns with the name of a computed one, whether or not this log has the data for it."""
    facts = {f"labels.{objective}" for objective in tables.objectives}
    everything = frozenset({*facts, *OPTIONAL_FACTS})
    computed = {
        "users": {*_user_numeric(tables.objectives, everything), *USER_AGES.values(), *HISTORY_ARRAYS},
        "items": {*_item_numeric(tables.objectives, everything)},
    }
    for table, names in computed.items():
        extras = tables.config.extras(table)
        for extra in (*extras.categorical, *extras.numerical):
            if extra in names or extra in SNAPSHOT_KEYS:
                raise DatasetError(
                    f"[features.{table}] of dataset.toml lists {extra!r}, the name of a column that is computed from "
                    f"the log; list another name and say in [columns.{table}] that it is {extra!r} in the file."
                )


def _columns_of(side: str, vocabularies: Mapping[str, Vocabulary]) -> tuple[str, ...]:
    return tuple(key.partition(".")[2] for key in vocabularies if key.startswith(f"{side}."))


def _present(tables: PreparedTables) -> frozenset[str]:
    """Which optional facts the tables hold at all: some of `OPTIONAL_FACTS`, and `labels.<objective>`."""
    present = set()
    if tables.impressions.num_rows:
        present.add("impressions")
    for objective in tables.objectives:
        if _has(tables.impressions, f"label_{objective}"):
            present.add(f"labels.{objective}")
    if _has(tables.interactions, "price") or _has(tables.items, "price"):
        present.add("prices")
    if pc.any(pc.less(tables.interactions["grade"], 0)).as_py():
        present.add("negatives")
    for name in ("category", "rating", "num_ratings"):
        if _has(tables.items, name):
            present.add(f"items.{name}")
    if _has(tables.users, "signup_at"):
        present.add("users.signup_at")
    return frozenset(present)


def _has(table: pa.Table, column: str) -> bool:
    return bool(table[column].null_count < table.num_rows)


def _vocabularies(tables: PreparedTables) -> dict[str, Vocabulary]:
    """Vocabulary of every categorical column that has a value, in the order of the columns."""
    config = tables.config
    found: dict[str, Vocabulary] = {}
    for column in (*USER_CATEGORICAL, *config.extras("users").categorical):
        found[f"users.{column}"] = _vocabulary(tables.users[column])
    for column in (*ITEM_CATEGORICAL, *config.extras("items").categorical):
        found[f"items.{column}"] = _vocabulary(tables.items[column])
    for column in REQUEST_CATEGORICAL:
        chunks = [*tables.interactions[column].chunks, *tables.impressions[column].chunks]
        if column == "country":
            chunks += tables.users[column].chunks
        found[f"request.{column}"] = _vocabulary(pa.chunked_array(chunks, type=pa.string()))
    return {key: values for key, values in found.items() if values}


def _vocabulary(column: pa.ChunkedArray) -> Vocabulary:
    """Values of a column, most frequent first, ties by value; null and empty text are missing."""
    counts = pc.value_counts(column.combine_chunks()).to_pylist()
    ordered = sorted((-entry["counts"], entry["values"]) for entry in counts if entry["values"])
    return tuple(value for _, value in ordered[:MAX_VOCABULARY])
