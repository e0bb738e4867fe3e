"""Feature groups of user and item together, in the order of their columns. No Ibis: serving imports these groups."""

from feature_repo.features.groups.cross.affinity import AffinityGroup
from feature_repo.features.groups.cross.history_length import HistoryLengthGroup
from feature_repo.features.groups.cross.own_items import OwnItemsGroup
from feature_repo.features.groups.cross.prices import PricePairsGroup
from feature_repo.features.groups.cross_group import CrossGroup

CROSS_GROUPS: tuple[CrossGroup, ...] = (
    OwnItemsGroup(),
    AffinityGroup(),
    PricePairsGroup(),
    HistoryLengthGroup(),
)

__all__ = ["CROSS_GROUPS"]
