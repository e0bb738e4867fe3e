"""How the recommender gathers and merges candidates; saved in the bundle as `recommender.json`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RecommenderConfig(BaseModel):
    """Quotas, weights and words of one release. `inference.sources.configured` fills in what the sources declare.

    Attributes:
        quotas: Source -> items it may bring to a query; 0 leaves the source out.
        reach: Source -> length of the list it scores candidates by, those of other sources included.
        weights: Source -> its weight in the merged order.
        fallback_weight: Weight of the popular list next to a seed item: below every similar item.
        verbs: Objective -> what the user did, for reasons ("bought {}"); "chose {}" for objectives without an entry.
        rank_constant: k of reciprocal rank fusion, 1 / (k + rank): larger is flatter.
        own_half_life_days: Days in which an event with an own item loses half its weight.
        rank_cold: Whether users whom the store does not know are ranked too; else they get the popular order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quotas: dict[str, int]
    reach: dict[str, int]
    weights: dict[str, float]
    fallback_weight: float = Field(default=0.01, gt=0)
    verbs: dict[str, str] = {}
    rank_constant: float = Field(default=60.0, gt=0)
    own_half_life_days: float = Field(default=30.0, gt=0)
    rank_cold: bool = False
