"""All that a `Recommender` reads: one release's models and tables, with the catalogue as of a time.

Frozen: what moves (prices, stock, counts) is renewed by `dataclasses.replace(artifacts, items=...)` and a new
recommender, so that a request sees one state from end to end. How it is stored is for `bundles/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import FloatArray, IntArray, ItemColumns
from inference.candidates.query import Query
from inference.models.contents import Contents
from inference.models.neighbours import Neighbours
from inference.models.popularity import Popularity

if TYPE_CHECKING:
    from inference.models.encoder import UserEncoder
    from inference.models.index import ItemIndex


class RecommenderConfig(BaseModel):
    """How candidates are gathered and merged; saved in the bundle.

    Attributes:
        quotas: Source -> items it may bring to a query.
        reach: Source -> length of the list it scores candidates by, those of other sources included.
        weights: Source -> its weight in the merged order.
        fallback_weight: Weight of the popular list beside a seed item: below every similar item.
        verbs: Objective -> what the user did, for reasons ("bought {}"); "chose {}" where it is not said.
        rank_constant: k of reciprocal rank fusion, 1 / (k + rank): larger is flatter.
        own_half_life_days: Days in which an event with an own item loses half its weight.
        rank_cold: Whether users whom the store does not know are ranked too; else they get the popular order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quotas: dict[str, int] = {"two_tower": 300, "covisitation": 100, "own": 50, "popular": 100}
    reach: dict[str, int] = {"covisitation": 1000, "own": 1000, "popular": 1000}
    weights: dict[str, float] = {"two_tower": 1.0, "covisitation": 1.0, "own": 1.0, "popular": 1.0}
    fallback_weight: float = Field(default=0.01, gt=0)
    verbs: dict[str, str] = {}
    rank_constant: float = Field(default=60.0, gt=0)
    own_half_life_days: float = Field(default=30.0, gt=0)
    rank_cold: bool = False


@dataclass(frozen=True)
class Artifacts:
    """One release, loaded.

    Attributes:
        version: Bundle version, "" for artifacts that are not released.
        feature_set: Names, order and codes of every feature.
        items: The catalogue's state as of a time, in row order.
        contents: Titles and the like.
        neighbours: Item-to-item neighbours.
        popularity: Popular lists.
        encoder, index, embeddings: User tower, item index and item embeddings [m, d]; None without towers.
        config: How sources are asked and merged.
    """

    version: str
    feature_set: FeatureSet
    items: ItemColumns
    contents: Contents
    neighbours: Neighbours
    popularity: Popularity
    encoder: UserEncoder | None = None
    index: ItemIndex | None = None
    embeddings: FloatArray | None = None
    config: RecommenderConfig = field(default_factory=RecommenderConfig)

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

    def age_bounds(self) -> npt.NDArray[np.float32]:
        """Least age in years by code of `age_group` [v + 1], NaN where the text tells none."""
        groups = self.feature_set.vocabularies.get("users.age_group", ())
        return np.array([np.nan, *(least_age(group) for group in groups)], dtype=np.float32)


def least_age(group: str) -> float:
    """Lower bound of an age group as datasets write it: "18-24" 18, "65+" 65, "<18" and "under 18" 0, else NaN."""
    text = group.strip().lower()
    digits = "".join(char if char.isdigit() else " " for char in text).split()
    if not digits:
        return float("nan")
    return 0.0 if text.startswith(("<", "under", "below", "-")) else float(digits[0])
