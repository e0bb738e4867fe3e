"""The data that a `Recommender` reads: one release's models and tables, with the catalogue as of a time.

Artifacts are frozen. New prices, stock and counts come with `dataclasses.replace(artifacts, items=...)` and a new
recommender, so that a request sees one consistent state. `bundles/` stores artifacts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from feature_repo.errors import BundleError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import IntArray, ItemColumns
from inference.candidates.query import Query
from inference.models.config import RecommenderConfig
from inference.models.contents import Contents
from inference.models.part import Part
from inference.models.popularity import Popularity

P = TypeVar("P", bound=Part)
FEW_IDS = 8  # ids that are faster to look up one by one


@dataclass(frozen=True)
class Artifacts:
    """One loaded release.

    Attributes:
        version: Bundle version, "" for artifacts that are not released.
        feature_set: Names, order and codes of all features.
        items: State of the catalogue as of a time, in row order.
        contents: Titles and other display columns.
        parts: Data of the sources, by class.
        config: Quotas, weights and other settings of the sources.
    """

    version: str
    feature_set: FeatureSet
    items: ItemColumns
    contents: Contents
    parts: Mapping[type[Part], Part]
    config: RecommenderConfig

    def part(self, kind: type[P]) -> P:
        """Returns the data of a source.

        Raises:
            BundleError: The release does not have this part.
        """
        found = self.find(kind)
        if found is None:
            raise BundleError(f"The bundle {self.version} lacks {', '.join(kind.paths)}: train again.")
        return found

    def find(self, kind: type[P]) -> P | None:
        """Returns the data of a source, None if the release does not have it."""
        found = self.parts.get(kind)
        return found if isinstance(found, kind) else None

    def with_parts(self, *parts: Part) -> Self:
        """Returns a copy in which some parts are replaced."""
        return replace(self, parts={**self.parts, **{type(part): part for part in parts}})

    def rows_of(self, ids: Iterable[str | None]) -> IntArray:
        """Returns the item rows [n] of ids, -1 for None and for unknown ids."""
        wanted = np.array([item or "" for item in ids], dtype=object)
        places = np.minimum(np.searchsorted(self.items.item_ids, wanted), len(self.items) - 1)
        return np.where(self.items.item_ids[places] == wanted, places, -1).astype(np.int32)

    def row_of(self, item_id: str | None) -> int:
        """Returns the item row of one id, -1 for None and for an unknown id; microseconds, without an array."""
        if not item_id:
            return -1
        ids = self.items.item_ids
        place = bisect_left(ids, item_id)
        return place if place < len(ids) and ids[place] == item_id else -1

    def seed_rows(self, queries: Sequence[Query]) -> IntArray:
        """Returns the row of each query's seed item [q], -1 without a known seed."""
        return self._context_rows([query.item_id for query in queries])

    def last_rows(self, queries: Sequence[Query]) -> IntArray:
        """Returns the row of each query's `last_item_id` [q], -1 without a known item."""
        return self._context_rows([query.last_item_id for query in queries])

    def _context_rows(self, ids: Sequence[str | None]) -> IntArray:
        if len(ids) <= FEW_IDS:
            return np.array([self.row_of(item_id) for item_id in ids], dtype=np.int32)
        return self.rows_of(ids) if any(ids) else np.full(len(ids), -1, dtype=np.int32)

    @cached_property
    def unseen(self) -> npt.NDArray[np.bool_]:
        """Whether each item has no positive event and a known creation time [m].

        In a replay, an item without a creation time may be one that the log mentions only later.
        """
        created = np.isfinite(self.items.created_at)
        unseen: npt.NDArray[np.bool_] = created & (self.part(Popularity).score == 0)
        return unseen

    @property
    def categories(self) -> IntArray:
        """Category code of each item [m], 0 if unknown."""
        names = self.feature_set.item_categorical
        if "category" not in names:
            return np.zeros(len(self.items), dtype=np.int32)
        return self.items.categorical[:, names.index("category")]

    def category_code(self, row: int) -> int:
        """Returns the category code of one item, 0 if it is unknown or the row is -1."""
        return int(self.categories[row]) if row >= 0 else 0
