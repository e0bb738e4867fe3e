"""Settings of the sources and of merging; saved in the bundle as `recommender.json`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from inference.models.cold_places import ColdPlaces
from inference.models.fusion import Fusion


class RecommenderConfig(BaseModel):
    """Quotas, weights and verbs of one release; `inference.sources.configured` fills in the sources' defaults.

    Attributes:
        quotas: Source -> largest number of items per query; 0 disables the source.
        reach: Source -> length of the list that scores candidates, including candidates of other sources.
        weights: Source -> weight in the merged order.
        fallback_weight: Weight of the popular list on a seeded surface; it places popular items below all similar
            items.
        event_grades: Event type -> grade, for live events: 1 the weakest objective, -1 negative.
        verbs: Objective -> verb for reason sentences ("bought {}"); "chose {}" for objectives without an entry.
        rank_constant: k of reciprocal rank fusion, 1 / (k + rank); a larger value makes the scores flatter.
        own_half_life_days: Half-life of the weight of an event with an own item, days.
        fusion: Learned weights of the merged order of user feeds, instead of `weights` and `rank_constant`; None
            in bundles without them.
        most_ranked: Number of candidates of a query that the ranker orders, the first of the merged order; the others
            follow. None for all.
        cold_places: Places of user feeds that items without an event have; None in bundles without them.
        rank_cold: Whether users whom the store does not know are ranked too; otherwise they get the popular order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quotas: dict[str, int]
    reach: dict[str, int]
    weights: dict[str, float]
    fallback_weight: float = Field(default=0.01, gt=0)
    event_grades: dict[str, int] = {}
    verbs: dict[str, str] = {}
    rank_constant: float = Field(default=60.0, gt=0)
    own_half_life_days: float = Field(default=30.0, gt=0)
    fusion: Fusion | None = None
    most_ranked: int | None = Field(default=None, gt=0)
    cold_places: ColdPlaces | None = None
    rank_cold: bool = False
