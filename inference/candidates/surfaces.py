"""The surfaces: where a slate is shown, and what follows from it for every stage. A new surface is one row.

Code asks a row what it is (`seeded`, `ranked`), never for its name. A log may know other surfaces than the table: they
are categories of a feature and behave like the personal feed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from inference.candidates.timeouts import Timeouts


@dataclass(frozen=True, slots=True)
class Surface:
    """What holds for all slates of one surface.

    Attributes:
        name: As the API and the log write it.
        seeded: The slate belongs to an item, which the request has to name, and not to a person.
        ranked: The ranker orders the candidates. It is fitted on slates for people, so it does not order seeded ones.
        sources: Names of the sources to ask; None asks all.
        timeouts: Time limits of the stages; None takes the server's.
    """

    name: str
    seeded: bool = False
    ranked: bool = True
    sources: frozenset[str] | None = None
    timeouts: Timeouts | None = None

    def asks(self, source: str) -> bool:
        """Whether a source is asked for candidates of this surface."""
        return self.sources is None or source in self.sources


SURFACES: Mapping[str, Surface] = {
    surface.name: surface
    for surface in (
        Surface("home"),
        Surface("similar", seeded=True, ranked=False, sources=frozenset({"two_tower", "covisitation", "popular"})),
        Surface("email"),
    )
}


def surface_of(name: str) -> Surface:
    """The row of a surface; one that only a log knows behaves like the personal feed."""
    return SURFACES.get(name) or Surface(name)
