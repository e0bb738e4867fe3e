"""Feature groups of requests, in the order of their columns. No Ibis: serving imports these groups."""

from feature_repo.features.groups.request_group import RequestGroup
from feature_repo.features.groups.requests.clock import ClockGroup
from feature_repo.features.groups.requests.session import SessionGroup

REQUEST_GROUPS: tuple[RequestGroup, ...] = (ClockGroup(), SessionGroup())
REQUEST_NUMERIC = tuple(name for group in REQUEST_GROUPS for name in group.columns)

__all__ = ["REQUEST_GROUPS", "REQUEST_NUMERIC"]
