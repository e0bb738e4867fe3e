"""The ordered feature set: every column that a model sees, its kind and its vocabulary.

Two artifacts fit together if and only if their feature sets have the same hash. Values come from snapshots and
transforms. `choice.py` asks the feature groups (`groups/`) which columns a dataset has data for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from feature_repo.errors import BundleError
from feature_repo.features.ages import moment_of
from feature_repo.storage.files import write_json

TRANSFORMS_VERSION = 4  # raise by hand whenever a snapshot or transform computes a column differently

WINDOWS = (1, 7, 30)  # days of the activity windows

# Columns of items for the recommender, in addition to the ranker's columns, and of user histories; stored types.
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

Vocabulary = tuple[str, ...]


class FeatureSet(BaseModel):
    """Names in order, vocabularies, and the settings that they depend on.

    Names of the snapshot columns are bare ("num_click_7d"). `ranker_features` prefixes them with their side
    ("item_num_click_7d") so that they are distinct. Vocabulary keys are "<side>.<column>" with the side users, items or
    request. The code of a value is its position counted from 1; 0 is missing or unknown.

    Attributes:
        transforms_version: Version of the code that computes the columns.
        objectives: Weakest first; the grade of an objective is its position counted from 1.
        repeats: Which of the user's own items may be recommended again: never, until-converted or always.
        user_numeric, user_categorical: Columns of `UserColumns.numeric` and `.categorical`.
        item_numeric, item_categorical: Columns of `ItemColumns.numeric` and `.categorical`.
        user_extras, item_extras: The declared extra columns among the numeric columns.
        request_numeric, request_categorical: Columns computed from the query alone.
        cross_numeric: Columns computed from user and item together.
        sources: Retrieval sources in bit order.
        item_windows: Hours of the windows of item counts in addition to `WINDOWS`, ascending; the first is the time
            between two snapshots of the items. Empty where items are counted daily.
        vocabularies: "<side>.<column>" -> values, sorted; bundles made before that keep the order of frequency.
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
    request_numeric: tuple[str, ...] = ()
    request_categorical: tuple[str, ...] = ()
    cross_numeric: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    vocabularies: Mapping[str, Vocabulary] = {}
    item_windows: tuple[int, ...] = ()

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
    def user_ages(self) -> Mapping[str, str]:
        """Age column of `user_numeric` -> the stored moment it counts from; see `ages.moment_of`."""
        return _ages(self.user_numeric, self.user_extras)

    @cached_property
    def item_ages(self) -> Mapping[str, str]:
        """Age column of `item_numeric` -> the stored moment it counts from."""
        return _ages(self.item_numeric, self.item_extras)

    @cached_property
    def categorical_indices(self) -> tuple[int, ...]:
        """Columns of the ranker's matrix that hold codes instead of quantities."""
        names = {
            *(f"item_{name}" for name in self.item_categorical),
            *(f"user_{name}" for name in self.user_categorical),
            *(f"request_{name}" for name in self.request_categorical),
        }
        return tuple(index for index, name in enumerate(self.ranker_features) if name in names)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = True) -> Self:  # noqa: ARG002
        """A copy that computes its own hash; pydantic would copy the cached hash of the original."""
        return type(self).model_validate({**self.model_dump(), **(update or {})})

    @cached_property
    def hash(self) -> str:
        """16 hex digits that change with any name, order, vocabulary or version of the transforms."""
        # Bundles without hourly windows keep the hash that they had before there were any.
        unset = None if self.item_windows else {"item_windows"}
        canonical = json.dumps(self.model_dump(mode="json", exclude=unset), sort_keys=True, separators=(",", ":"))
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
            BundleError: The file is missing, damaged, or made by another version of the transforms.
        """
        try:
            loaded = cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BundleError(f"The feature set {path} cannot be read ({error}): train again.") from error
        if loaded.transforms_version != TRANSFORMS_VERSION:
            raise BundleError(
                f"The feature set {path} was made by version {loaded.transforms_version} of the transforms and this"
                f" code has version {TRANSFORMS_VERSION}: train again, or serve it with the code that made it."
            )
        return loaded


def _ages(names: Sequence[str], extras: Sequence[str]) -> dict[str, str]:
    """The ages among columns; an owner's extra column is stored unchanged, even under the name of an age."""
    moments = {name: moment_of(name) for name in names if name not in extras}
    return {name: moment for name, moment in moments.items() if moment is not None}
