"""Facts about the data of a dataset, on which the condition of a feature group depends.

A group without data adds no columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Self

import pyarrow.compute as pc

from feature_repo.dataset.tables import PreparedTables, label_column


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """Facts of one dataset.

    Attributes:
        objectives: Weakest first.
        repeats: Which of the user's own items may be recommended again; see `FeatureSet.repeats`.
        item_categorical: Categorical columns of items that have a vocabulary.
        has_impressions: Whether the log has impressions.
        has_negatives: Whether the log has events of negative grade.
        item_windows: Hours of further windows of item counts; see `FeatureSet.item_windows`.
        has_column: Whether a column (table, name) of the prepared tables holds a value that is not null.
    """

    objectives: tuple[str, ...]
    repeats: str
    item_categorical: tuple[str, ...]
    has_impressions: bool
    has_negatives: bool
    item_windows: tuple[int, ...]
    has_column: Callable[[str, str], bool]

    @classmethod
    def of(cls, tables: PreparedTables, item_categorical: tuple[str, ...], item_windows: tuple[int, ...] = ()) -> Self:
        """Facts of prepared tables, read in batches; a column is read only when a group asks for it."""

        @cache
        def has_column(table: str, column: str) -> bool:
            return any(values.null_count < len(values) for values in tables.batches(table, column))

        return cls(
            objectives=tuple(tables.objectives),
            repeats=tables.config.recommend.repeats,
            item_categorical=item_categorical,
            has_impressions=tables.num_rows["impressions"] > 0,
            has_negatives=any(pc.any(pc.less(grades, 0)).as_py() for grades in tables.batches("interactions", "grade")),
            item_windows=item_windows,
            has_column=has_column,
        )

    @classmethod
    def complete(cls, objectives: tuple[str, ...], item_windows: tuple[int, ...] = ()) -> Self:
        """Facts of a dataset with data for everything, so that a snapshot group returns all its columns."""
        return cls(
            objectives,
            "always",
            (),
            has_impressions=True,
            has_negatives=True,
            item_windows=item_windows,
            has_column=lambda _, __: True,
        )

    @property
    def has_prices(self) -> bool:
        """Whether an event or an item has a price."""
        return self.has_column("interactions", "price") or self.has_column("items", "price")

    @property
    def labelled(self) -> tuple[str, ...]:
        """Objectives for which the impressions have labels."""
        return tuple(name for name in self.objectives if self.has_column("impressions", label_column(name)))
