"""The filters, in the order in which they run. A new filter is one file and one entry here."""

from __future__ import annotations

from inference.filters.availability import AvailabilityFilter
from inference.filters.exclude import ExcludeFilter
from inference.filters.repeats import RepeatsFilter
from inference.filters.seed import SeedFilter

FILTERS = (RepeatsFilter, AvailabilityFilter, SeedFilter, ExcludeFilter)
