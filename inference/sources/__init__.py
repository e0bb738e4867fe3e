"""The sources in the order of their bits in `CandidateSet.source_bits`. A new source is one file and one entry here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from feature_repo.errors import BundleError
from inference.models.config import RecommenderConfig
from inference.models.part import Part
from inference.sources.covisitation import CovisitationSource
from inference.sources.own import OwnSource
from inference.sources.popular import PopularSource
from inference.sources.protocol import Source
from inference.sources.two_tower import TwoTowerSource

SOURCES: tuple[type[Source], ...] = (TwoTowerSource, CovisitationSource, OwnSource, PopularSource)
FALLBACK = PopularSource  # fills the slates that the others leave short


def sources_of(names: Iterable[str]) -> list[type[Source]]:
    """The sources of a feature set, in its order.

    Raises:
        BundleError: A source is unknown to this code.
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
    """The parts that some sources read, each once."""
    return list(dict.fromkeys(part for source in sources_of(names) for part in source.parts))


def configured(**changes: Any) -> RecommenderConfig:
    """The configuration that the sources declare, with some fields set otherwise."""
    declared: dict[str, Any] = {
        "quotas": {source.name: source.quota for source in SOURCES},
        "reach": {source.name: source.reach for source in SOURCES if source.reach},
        "weights": {source.name: source.weight for source in SOURCES},
    }
    return RecommenderConfig.model_validate({**declared, **changes})
