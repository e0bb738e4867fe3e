"""The filters, in the order in which they run. A new filter is one file and one entry here."""

from __future__ import annotations

from collections.abc import Callable

from inference.filters.availability import AvailabilityFilter
from inference.filters.exclude import ExcludeFilter
from inference.filters.protocol import Filter
from inference.filters.repeats import RepeatsFilter
from inference.filters.seed import SeedFilter
from inference.models.artifacts import Artifacts

FILTERS: tuple[Callable[[Artifacts], Filter], ...] = (RepeatsFilter, AvailabilityFilter, SeedFilter, ExcludeFilter)
