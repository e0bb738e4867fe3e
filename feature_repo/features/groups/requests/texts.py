"""Text columns of a request, which the feature set encodes with its vocabularies."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from feature_repo.features.groups.request_group import RequestContext

# Column -> its text, given a query and the country of the query's user ("" if unknown), in the order of the columns.
REQUEST_TEXTS: Mapping[str, Callable[[RequestContext, str], str | None]] = {
    "device": lambda query, _: query.device,
    "country": lambda query, user_country: query.country or user_country,
    "surface": lambda query, _: query.surface,
}
