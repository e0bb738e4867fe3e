"""All that a `Recommender` reads: one release's models and tables, with the catalogue as of a time.

Artifacts are frozen. What moves (prices, stock, counts) is renewed by `dataclasses.replace(artifacts, items=...)` and a
new recommender, so that a request sees one state from end to end. `bundles/` stores them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import numpy as np

from feature_repo.errors import BundleError
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import IntArray, ItemColumns
from inference.candidates.query import Query
from inference.models.config import RecommenderConfig
from inference.models.contents import Contents
from inference.models.part import Part

P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class Artifacts:
    """One release, loaded.

    Attributes:
        version: Bundle version, "" for artifacts that are not released.
        feature_set: Names, order and codes of every feature.
        items: The catalogue's state as of a time, in row order.
        contents: Titles and the like.
        parts: Data of the sources, by class.
        config: How sources are asked and merged.
    """

    version: str
    feature_set: FeatureSet
    items: ItemColumns
    contents: Contents
    parts: Mapping[type[Part], Part]
    config: RecommenderConfig

    def part(self, kind: type[P]) -> P:
        """The data of a source.

        Raises:
            BundleError: The release has none.
        """
        found = self.find(kind)
        if found is None:
            raise BundleError(f"The bundle {self.version} lacks {', '.join(kind.paths)}: train again.")
        return found

    def find(self, kind: type[P]) -> P | None:
        """The data of a source, None where the release has none."""
        found = self.parts.get(kind)
        return found if isinstance(found, kind) else None

    def with_parts(self, *parts: Part) -> Self:
        """The same with other data of some sources."""
        return replace(self, parts={**self.parts, **{type(part): part for part in parts}})

    def rows_of(self, ids: Iterable[str | None]) -> IntArray:
        """Item rows [n] of the ids, -1 for None and for ids the row map does not hold."""
        wanted = np.array([item or "" for item in ids], dtype=object)
        places = np.minimum(np.searchsorted(self.items.item_ids, wanted), len(self.items) - 1)
        return np.where(self.items.item_ids[places] == wanted, places, -1).astype(np.int32)

    def seed_rows(self, queries: Sequence[Query]) -> IntArray:
        """Row of each query's seed item [q], -1 without one."""
        return self._context_rows([query.item_id for query in queries])

    def last_rows(self, queries: Sequence[Query]) -> IntArray:
        """Row of the item each client says it views right now [q], -1 without one."""
        return self._context_rows([query.last_item_id for query in queries])

    def _context_rows(self, ids: Sequence[str | None]) -> IntArray:
        if not any(ids):
            return np.full(len(ids), -1, dtype=np.int32)
        return self.rows_of(ids)

    @property
    def categories(self) -> IntArray:
        """Category code of each item [m], 0 where unknown."""
        names = self.feature_set.item_categorical
        if "category" not in names:
            return np.zeros(len(self.items), dtype=np.int32)
        return self.items.categorical[:, names.index("category")]

    def category_code(self, row: int) -> int:
        """Category code of one item, 0 where unknown or no item."""
        return int(self.categories[row]) if row >= 0 else 0
