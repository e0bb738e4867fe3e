"""Writes slates: of the best candidates of a batch, what each query is answered with and what the log will hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from feature_repo.features.state import UserColumns
from inference.candidates.query import CandidateSet, Query, Slate
from inference.flow.reasons import ReasonWriter
from inference.models.artifacts import Artifacts


class SlateWriter:
    """Makes slates of one release's candidates.

    Args:
        artifacts: The release.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self._version = artifacts.version
        self._sources = np.array(artifacts.feature_set.sources, dtype=object)
        self._reasons = ReasonWriter(artifacts)

    def write(
        self, queries: Sequence[Query], users: UserColumns, top: CandidateSet, ranked: npt.NDArray[np.bool_]
    ) -> list[Slate]:
        """A slate for each query, in their order; what went wrong on the way is for the caller to add.

        Args:
            queries: q queries.
            users: State of their users [q].
            top: What each is shown, best first, with features if any query was ranked.
            ranked: Whether the ranker ordered a query's candidates [q].
        """
        brought = top.source_ranks if len(top) else np.zeros((0, len(self._sources)), dtype=np.float32)
        names = self._sources[np.argmin(np.where(np.isnan(brought), np.inf, brought), axis=1)]
        reasons = self._reasons.write(queries, users, top, names)
        slates, features = [], top.features
        for place, query in enumerate(queries):
            mine = slice(int(top.offsets[place]), int(top.offsets[place + 1]))
            slates.append(
                Slate(
                    query=query,
                    rows=top.rows[mine],
                    scores=top.score[mine],
                    sources=tuple(names[mine]),
                    reasons=tuple(reasons[mine]),
                    bundle_version=self._version,
                    features=features[mine] if features is not None and ranked[place] else None,
                    probabilities={name: column[mine] for name, column in top.probabilities.items() if ranked[place]},
                )
            )
        return slates
