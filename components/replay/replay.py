"""The recommender replayed over queries of the past, each answered as of the last cut before it.

Training rows, the evaluation of impressions and the drift reference all replay queries of the log. `Replay` groups the
queries by cut and builds the recommender of each cut; the caller decides how to use its answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from components.replay.cutoff import Cutoff
from components.replay.renewal import Renewal, RenewalPolicy
from feature_repo.dataset.tables import PreparedTables
from feature_repo.features.state import ItemColumns, TimeArray, UserColumns
from feature_repo.progress import track
from inference.candidates.batch import Batch
from inference.candidates.query import Query
from inference.feature_store.historical import HistoricalFeatures
from inference.models.artifacts import Artifacts
from inference.recommender import Recommender
from inference.scorers.protocol import Scorer
from inference.stages import Stages

Places = npt.NDArray[np.int64]


class PastReader(Protocol):
    """Reads the state of users and items as of past times (`HistoricalFeatures`)."""

    def prefetch(self, user_ids: Sequence[str], times: TimeArray) -> None:
        """Joins the state of many users at once."""

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        """State of users as of given times [q]."""

    def items(self, time: float) -> ItemColumns:
        """The catalogue as of a given time."""


@dataclass(frozen=True, slots=True)
class ReplayedBatch:
    """A batch of queries with the recommender of their cut.

    Attributes:
        recommender: The recommender as of the cut.
        batch: b queries with the state of their users.
        places: Index of each query among all queries of the replay [b].
    """

    recommender: Recommender
    batch: Batch
    places: Places


class Replay:
    """Recommenders as of past cuts.

    Args:
        base: Artifacts of a cutoff or of a bundle.
        reader: Reads users as of the times of the queries, and the catalogue as of cuts.
        cuts: Ascending unix seconds, at least one; queries before the first cut belong to it.
        scorer: Ranks the candidates; None keeps the retrieval order.
        renew: Renews the artifacts as of a cut, with the catalogue of that cut; by default only the catalogue changes.
    """

    def __init__(
        self,
        base: Artifacts,
        reader: PastReader,
        cuts: TimeArray,
        scorer: Scorer | None = None,
        renew: Callable[[Artifacts, float], Artifacts] = lambda artifacts, _: artifacts,
    ) -> None:
        self._base = base
        self._reader = reader
        self._cuts = cuts
        self._scorer = scorer
        self._renew = renew

    @classmethod
    def of(
        cls,
        tables: PreparedTables,
        cutoff: Cutoff,
        reader: HistoricalFeatures,
        cuts: TimeArray,
        policy: RenewalPolicy,
        scorer: Scorer | None = None,
    ) -> Self:
        """The replay of a cutoff.

        Args:
            tables: Clean prepared tables.
            cutoff: Supplies towers, index and half-lives.
            reader: Reads the features of the same run.
            cuts: Ascending unix seconds, at least one.
            policy: What is renewed as of a cut.
            scorer: Ranks the candidates; None keeps the retrieval order.
        """
        base = cutoff.artifacts(reader.items(float(cuts[0])))
        return cls(base, reader, cuts, scorer, Renewal(tables, cutoff, reader, cuts, policy))

    def recommender(self, cut: float) -> Recommender:
        """The recommender as of a cut."""
        artifacts = self._renew(replace(self._base, items=self._reader.items(cut)), cut)
        return Recommender(artifacts, Stages.of(artifacts, self._reader, self._scorer))

    def by_cut(self, queries: Sequence[Query], what: str) -> Iterator[tuple[Recommender, Places]]:
        """The recommender of each cut that has queries, with the indices of its queries, in order of time.

        Args:
            queries: In any order.
            what: Name of the work for the progress line.
        """
        times = np.array([query.time for query in queries], dtype=np.float64)
        self._reader.prefetch([query.user_id for query in queries], times)
        cut_of = np.maximum(np.searchsorted(self._cuts, times, side="right") - 1, 0)
        for cut in track(np.unique(cut_of), what):
            yield self.recommender(float(self._cuts[cut])), np.flatnonzero(cut_of == cut)

    def batches(self, queries: Sequence[Query], what: str) -> Iterator[ReplayedBatch]:
        """The queries of `by_cut` in batches of the recommender."""
        for recommender, places in self.by_cut(queries, what):
            start = 0
            for batch in recommender.batches([queries[place] for place in places]):
                yield ReplayedBatch(recommender, batch, places[start : start + len(batch)])
                start += len(batch)
