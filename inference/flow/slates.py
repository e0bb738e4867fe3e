"""Builds slates: the answer to each query, with all values that the log records."""

from __future__ import annotations

import numpy as np

from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet, Slate
from inference.flow.reasons import ReasonWriter
from inference.models.artifacts import Artifacts


class SlateWriter:
    """Builds slates from the selected candidates of one release.

    Args:
        artifacts: The release.
        reasons: Collects a reason for every item.
    """

    def __init__(self, artifacts: Artifacts, reasons: ReasonWriter) -> None:
        self._version = artifacts.version
        self._sources = np.array(artifacts.feature_set.sources, dtype=object)
        self._reasons = reasons

    def write(self, batch: Batch, top: CandidateSet, ranked: Mask) -> list[Slate]:
        """Returns a slate for each query, in their order; the caller adds stage times and `degraded`.

        Args:
            batch: The q queries.
            top: The items of each slate in display order, with features if any query was ranked.
            ranked: Whether the ranker ordered each query's candidates [q].
        """
        brought = top.source_ranks if len(top) else np.zeros((0, len(self._sources)), dtype=np.float32)
        names = self._sources[np.argmin(np.where(np.isnan(brought), np.inf, brought), axis=1)]
        reasons = self._reasons.write(batch, top, names)
        slates, features = [], top.features
        for place, query in enumerate(batch.queries):
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
