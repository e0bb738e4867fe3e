"""Vocabularies of the categorical columns, read from prepared tables in batches.

A column without any value has no vocabulary, and the feature set leaves it out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.feature_set import Vocabulary
from feature_repo.features.groups.requests.texts import REQUEST_TEXTS

MAX_VOCABULARY = 50_000  # values kept per categorical column, the most frequent ones

USER_CATEGORICAL = ("country", "age_group", "gender", "language")
ITEM_CATEGORICAL = ("category", "brand", "seller_id")


def read_vocabularies(tables: PreparedTables) -> dict[str, Vocabulary]:
    """Vocabulary of every categorical column that has a value, in the order of the columns."""
    config = tables.config
    found: dict[str, Vocabulary] = {}
    for column in (*USER_CATEGORICAL, *config.extras("users").categorical):
        found[f"users.{column}"] = vocabulary_of(tables.batches("users", column))
    for column in (*ITEM_CATEGORICAL, *config.extras("items").categorical):
        found[f"items.{column}"] = vocabulary_of(tables.batches("items", column))
    for column in REQUEST_TEXTS:
        read = ("interactions", "impressions", *(["users"] if column == "country" else []))
        found[f"request.{column}"] = vocabulary_of(chain.from_iterable(tables.batches(table, column) for table in read))
    return {key: values for key, values in found.items() if values}


def vocabulary_of(batches: Iterable[pa.Array], most: int = MAX_VOCABULARY) -> Vocabulary:
    """The most frequent values of a column, sorted; null and empty text count as missing."""
    counts: Counter[str] = Counter()
    for values in batches:
        for entry in pc.value_counts(values).to_pylist():
            counts[entry["values"] or ""] += entry["counts"]
    del counts[""]
    frequent = sorted(counts, key=lambda value: (-counts[value], value))[:most]
    return tuple(sorted(frequent))
