"""The sources in the order of their bits in `CandidateSet.source_bits`. A new source is one file and one entry here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from feature_repo.errors import BundleError
from inference.models.config import RecommenderConfig
from inference.models.part import Part
from inference.sources.content import ContentSource
from inference.sources.covisitation import CovisitationSource
from inference.sources.fresh import FreshSource
from inference.sources.own import OwnSource
from inference.sources.popular import PopularSource
from inference.sources.protocol import Source
from inference.sources.similar import SimilarSource
from inference.sources.transitions import TransitionsSource
from inference.sources.two_tower import TwoTowerSource

SOURCES: tuple[type[Source], ...] = (
    TwoTowerSource,
    CovisitationSource,
    OwnSource,
    PopularSource,
    TransitionsSource,
    SimilarSource,
    FreshSource,
    ContentSource,
)
FALLBACK: type[PopularSource] = PopularSource  # fills slates for which the other sources find too few items


def sources_of(names: Iterable[str]) -> list[type[Source]]:
    """Returns the source classes of a feature set, in its order.

    Raises:
        BundleError: This code does not have one of the sources.
    """
    known = {source.name: source for source in SOURCES}
    wanted = list(names)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise BundleError(
            f"The bundle was made with the source {unknown[0]!r}, which this code does not have; it has "
            f"{', '.join(known)}: serve it with the code that made it."
        )
    return [known[name] for name in wanted]


def parts_of(names: Iterable[str]) -> list[type[Part]]:
    """Returns the parts that some sources read, without repeats."""
    sources: list[type[Source]] = [*sources_of(names), FALLBACK]
    return list(dict.fromkeys(part for source in sources for part in source.parts))


def configured(**changes: Any) -> RecommenderConfig:
    """Returns the configuration that the sources declare, with some fields changed."""
    declared: dict[str, Any] = {
        "quotas": {source.name: source.quota for source in SOURCES},
        "reach": {source.name: source.reach for source in SOURCES if source.reach},
        "weights": {source.name: source.weight for source in SOURCES},
    }
    return RecommenderConfig.model_validate({**declared, **changes})
