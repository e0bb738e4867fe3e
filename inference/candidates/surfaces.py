"""The surfaces: the places where slates are shown, and their settings for every stage. A new surface is one row.

Code reads a row's attributes (`seeded`, `ranked`) and never compares its name. A log may contain other surfaces than
this table; they are categories of a feature and behave like the personal feed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inference.candidates.timeouts import Timeouts


@dataclass(frozen=True, slots=True)
class Surface:
    """The settings of all slates of one surface.

    Attributes:
        name: As the API and the log write it.
        seeded: The slate shows items similar to a seed item, which the request must name.
        ranked: The ranker orders the candidates. It is fitted on slates for users, so it does not rank seeded slates.
        sources: Names of the sources to query; None means all. A seeded surface queries only sources that answer seeds.
        timeouts: Time limits of the stages; None means the server's.
    """

    name: str
    seeded: bool = False
    ranked: bool = True
    sources: frozenset[str] | None = None
    timeouts: Timeouts | None = None

    def asks(self, source: str) -> bool:
        """Returns whether a source is queried for this surface."""
        return self.sources is None or source in self.sources


SURFACES: Mapping[str, Surface] = {
    surface.name: surface
    for surface in (
        Surface("home"),
        Surface("similar", seeded=True, ranked=False),
        Surface("email"),
    )
}


def surface_of(name: str) -> Surface:
    """Returns the row of a surface; a surface that only a log contains gets the settings of the personal feed."""
    return SURFACES.get(name) or Surface(name)
