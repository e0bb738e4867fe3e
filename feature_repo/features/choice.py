"""Which columns a dataset has data for.

Owns the choice of the feature set and its vocabularies, read from prepared tables a batch at a time. A column the
dataset has no data for is left out rather than carried as nothing but nulls. Refuses an owner's column that has the
name of a computed one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.dataset.tables import PreparedTables, label_column
from feature_repo.errors import DatasetError
from feature_repo.features.feature_set import (
    HALF_LIVES,
    HISTORY_ARRAYS,
    OWN_HALF_LIVES,
    RATE_WINDOWS,
    USER_AGES,
    WINDOWS,
    FeatureSet,
    Vocabulary,
)

MAX_VOCABULARY = 50_000  # values a categorical column keeps, the most frequent first

USER_CATEGORICAL = ("country", "age_group", "gender", "language")
ITEM_CATEGORICAL = ("category", "brand", "seller_id")
REQUEST_CATEGORICAL = ("device", "country", "surface")
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
OPTIONAL_FACTS = (
    *("impressions", "prices", "negatives", "users.signup_at"),
    *("items.category", "items.seller_id", "items.rating", "items.num_ratings"),
)
SNAPSHOT_KEYS = ("event_timestamp", "from_day", "to_day", "valid_from_us", "created_at_us", "signup_at_us")


def choose_features(tables: PreparedTables) -> FeatureSet:
    """Chooses the columns the tables have data for and freezes the vocabularies.

    Raises:
        DatasetError: A declared extra column has the name of a column computed here.
    """
    config = tables.config
    vocabularies = _vocabularies(tables)
    present = _present(tables)
    _check_extras(tables)
    user_extras, item_extras = config.extras("users").numerical, config.extras("items").numerical
    return FeatureSet(
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
    if "items.seller_id" in present:
        names += [f"seller_rate_{name}_30d" for name in labelled if name == objectives[0]]
        names += ["seller_return_rate_30d"] if "negatives" in present else []
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
    facts = {
        "impressions": tables.num_rows["impressions"] > 0,
        "prices": _has(tables, "interactions", "price") or _has(tables, "items", "price"),
        "negatives": any(pc.any(pc.less(grades, 0)).as_py() for grades in tables.batches("interactions", "grade")),
        "users.signup_at": _has(tables, "users", "signup_at"),
        **{f"items.{name}": _has(tables, "items", name) for name in ("category", "seller_id", "rating", "num_ratings")},
        **{f"labels.{name}": _has(tables, "impressions", label_column(name)) for name in tables.objectives},
    }
    return frozenset(fact for fact, holds in facts.items() if holds)


def _has(tables: PreparedTables, table: str, column: str) -> bool:
    return any(values.null_count < len(values) for values in tables.batches(table, column))


def _vocabularies(tables: PreparedTables) -> dict[str, Vocabulary]:
    """Vocabulary of every categorical column that has a value, in the order of the columns."""
    config = tables.config
    found: dict[str, Vocabulary] = {}
    for column in (*USER_CATEGORICAL, *config.extras("users").categorical):
        found[f"users.{column}"] = _vocabulary(tables.batches("users", column))
    for column in (*ITEM_CATEGORICAL, *config.extras("items").categorical):
        found[f"items.{column}"] = _vocabulary(tables.batches("items", column))
    for column in REQUEST_CATEGORICAL:
        read = ("interactions", "impressions", *(["users"] if column == "country" else []))
        found[f"request.{column}"] = _vocabulary(chain.from_iterable(tables.batches(table, column) for table in read))
    return {key: values for key, values in found.items() if values}


def _vocabulary(batches: Iterable[pa.Array]) -> Vocabulary:
    """Values of a column, most frequent first, ties by value; null and empty text are missing."""
    counts: Counter[str] = Counter()
    for values in batches:
        for entry in pc.value_counts(values).to_pylist():
            counts[entry["values"] or ""] += entry["counts"]
    del counts[""]
    ordered = sorted((-count, value) for value, count in counts.items())
    return tuple(value for _, value in ordered[:MAX_VOCABULARY])
