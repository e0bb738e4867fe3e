"""Feature groups of users, in the order of their columns."""

from feature_repo.features.groups.counts import CountsGroup
from feature_repo.features.groups.exposure import ExposureGroup
from feature_repo.features.groups.snapshot_group import SnapshotGroup
from feature_repo.features.groups.users.activity import UserActivityGroup
from feature_repo.features.groups.users.click_rate import ClickRateGroup
from feature_repo.features.groups.users.conversion import ConversionGroup
from feature_repo.features.groups.users.prices import UserPricesGroup
from feature_repo.features.groups.users.signup import SignupGroup

USER_GROUPS: tuple[SnapshotGroup, ...] = (
    CountsGroup(),
    ExposureGroup(),
    ClickRateGroup(),
    ConversionGroup(),
    UserActivityGroup(),
    UserPricesGroup(),
    SignupGroup(),
)

__all__ = ["USER_GROUPS"]
