"""A batch of queries with user state, trace and deadline: the input of every stage, next to the candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import TimeArray, UserColumns
from inference.candidates.query import Query
from inference.candidates.surfaces import Surface, surface_of
from inference.candidates.timeouts import Timeouts
from inference.candidates.users import span

Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Trace:
    """The record of one batch: the seconds of each stage, and the failures that degraded the batch, in order."""

    seconds: dict[str, float] = field(default_factory=dict)
    degraded: list[str] = field(default_factory=list)

    def mark(self, reason: str) -> None:
        """Records a failure once."""
        if reason not in self.degraded:
            self.degraded.append(reason)

    def copy(self) -> Trace:
        """Returns an independent copy."""
        return Trace(dict(self.seconds), list(self.degraded))


@dataclass(frozen=True, slots=True)
class Batch:
    """Queries that are answered together, with the state of their users.

    Attributes:
        queries: q queries.
        users: State of their users [q].
        trace: Stage times and failures so far.
        deadline: `time.monotonic()` at which the slates are due; None without a deadline.
        bundle_version: The bundle that answers, "" for artifacts that are not released.
    """

    queries: Sequence[Query]
    users: UserColumns
    trace: Trace = field(default_factory=Trace)
    deadline: float | None = None
    bundle_version: str = ""

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def times(self) -> TimeArray:
        """Time of each query [q], unix seconds."""
        return np.array([query.time for query in self.queries], dtype=np.float64)

    @property
    def surfaces(self) -> list[Surface]:
        """Surface of each query [q]."""
        return [surface_of(query.surface) for query in self.queries]

    @property
    def seeded(self) -> Mask:
        """Whether each query asks for items similar to a seed item, not for a user's feed [q]."""
        return np.array([surface.seeded for surface in self.surfaces], dtype=np.bool_)

    @property
    def countries(self) -> list[str]:
        """Country of each query [q]: from the client, else from the user's profile, else ""."""
        return [query.country or str(country) for query, country in zip(self.queries, self.users.country, strict=True)]

    def part(self, start: int, stop: int) -> Self:
        """Returns the queries from `start` to `stop` (exclusive) with their users and a copy of the trace."""
        return replace(
            self,
            queries=self.queries[start:stop],
            users=span(self.users, start, min(stop, len(self))),
            trace=self.trace.copy(),
        )

    def timeouts(self, server: Timeouts) -> Timeouts:
        """Returns the longest time limits of the batch's surfaces; a surface without limits has the server's limits."""
        limits = [surface.timeouts or server for surface in self.surfaces]
        if all(limit is server for limit in limits):
            return server
        return Timeouts(
            users=max(limit.users for limit in limits),
            sources=max(limit.sources for limit in limits),
            ranker=max(limit.ranker for limit in limits),
        )
