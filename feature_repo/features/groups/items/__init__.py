"""Feature groups of items, in the order of their columns."""

from feature_repo.features.groups.counts import CountsGroup
from feature_repo.features.groups.exposure import ExposureGroup
from feature_repo.features.groups.items.age import ItemAgeGroup
from feature_repo.features.groups.items.audience import AudienceGroup
from feature_repo.features.groups.items.availability import AvailabilityGroup
from feature_repo.features.groups.items.outcome_rates import OutcomeRatesGroup
from feature_repo.features.groups.items.popularity import PopularityGroup
from feature_repo.features.groups.items.price import ItemPriceGroup
from feature_repo.features.groups.items.ratings import RatingsGroup
from feature_repo.features.groups.items.recent import RecentGroup
from feature_repo.features.groups.items.returns import ReturnsGroup
from feature_repo.features.groups.items.sellers import SellersGroup
from feature_repo.features.groups.snapshot_group import SnapshotGroup

ITEM_GROUPS: tuple[SnapshotGroup, ...] = (
    CountsGroup(),
    RecentGroup(),
    ExposureGroup(),
    OutcomeRatesGroup(),
    PopularityGroup(),
    AudienceGroup(),
    ReturnsGroup(),
    SellersGroup(),
    ItemAgeGroup(),
    ItemPriceGroup(),
    RatingsGroup(),
    AvailabilityGroup(),
)

__all__ = ["ITEM_GROUPS"]
