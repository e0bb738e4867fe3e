"""The recommender: one sequence from queries to slates, for one query or tens of thousands.

hydrate -> sources -> merge -> filters -> features -> scorers -> selectors -> reasons; then `record`

Serving, evaluation, batch and the ranker's training rows all use it; they differ in the `Stages` and the `Executor`
that they pass. The `Executor` applies the failure policy. The recommender holds no state between calls: new prices,
stock and counts come with new `Artifacts` and a new recommender. Differences between surfaces are rows of
`candidates/surfaces.py`. Users whom the store does not know get the popular order of their country, else the overall
popular order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from feature_repo.features.state import FloatArray
from inference.candidates.batch import Batch, Mask, Trace
from inference.candidates.query import CandidateSet, Query, Slate
from inference.candidates.timeouts import Timeouts, allowed
from inference.candidates.users import cold_users
from inference.flow.executor import Executor
from inference.flow.merge import concatenate, spliced
from inference.flow.ranking import Ranking
from inference.flow.reasons import ReasonWriter
from inference.flow.retrieval import Retrieval, Retrieved
from inference.flow.slates import SlateWriter
from inference.hydrators.protocol import Hydrator
from inference.models.artifacts import Artifacts
from inference.recorders.protocol import Recorder
from inference.selectors.protocol import Selector
from inference.stages import Stages

HYDRATION_BATCH = 16_384  # users per read of the store
BATCH = 256  # queries per batch: 256 x 700 candidates x 120 features take 86 MB, several times while they are made


class Recommender:
    """Answers queries from one release's artifacts; thread-safe.

    Args:
        artifacts: Models and tables; without towers the two-tower source finds nothing.
        stages: The stages to run; `Stages.of` makes the default stages.
        executor: Failure policy and threads; the default is strict and single-threaded, for evaluation.
        timeouts: Time limits of the stages; only an executor with threads applies them.

    Raises:
        BundleError: A stage would silently not run, see `Stages.check`.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        stages: Stages,
        *,
        executor: Executor | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        stages.check(artifacts)
        self.artifacts = artifacts
        self.stages = stages
        self._unknown = cold_users(1, artifacts.feature_set)
        self._executor = executor or Executor(strict=True)
        self._timeouts = timeouts or Timeouts()
        self._retrieval = Retrieval(
            artifacts, stages.sources, stages.filters, stages.fallback, self._executor, self._timeouts
        )
        self._ranking = Ranking(artifacts, stages.scorers, self._retrieval.complete, self._executor, self._timeouts)
        names = {source.name: source for source in stages.sources}
        self._slates = SlateWriter(artifacts, ReasonWriter(names, stages.fallback, self._executor))

    def recommend(self, queries: Sequence[Query], deadline: float | None = None) -> list[Slate]:
        """Returns a slate for each query, in their order; a slate is empty only if every item is filtered out."""
        slates: list[Slate] = []
        for batch in self.batches(queries, deadline):
            slates.extend(self.select(batch, self.rank(batch, self.retrieve(batch))))
        return slates

    def record(self, slates: Sequence[Slate]) -> None:
        """Hands slates to the recorders. The caller does so once the answer is complete."""
        for recorder in self.stages.recorders:
            self._executor.attempt(Trace(), recorder.name, partial(self._hand_over, recorder, slates), None)

    def candidates(self, queries: Sequence[Query]) -> CandidateSet:
        """Returns the filtered, unranked candidates of all queries with features (about 0.2 MB per query)."""
        parts = []
        for batch in self.batches(queries):
            found = self.complete(self.retrieve(batch))
            parts.append(found.with_features(self.features(batch, found)))
        return concatenate(parts, len(self.artifacts.feature_set.sources))

    def ranked(self, queries: Sequence[Query], depth: int | None = None) -> CandidateSet:
        """Returns the best `depth` candidates of every query (all if None) in display order, without features."""
        parts = []
        for batch in self.batches(queries):
            found = self.rank(batch, self.retrieve(batch))
            parts.append(self.arrange(batch, found, len(found) if depth is None else depth))
        return concatenate(parts, len(self.artifacts.feature_set.sources))

    def batches(self, queries: Sequence[Query], deadline: float | None = None) -> Iterator[Batch]:
        """Yields the queries in hydrated batches of at most `BATCH`."""
        for first in range(0, len(queries), HYDRATION_BATCH):
            hydrated = self._hydrate(queries[first : first + HYDRATION_BATCH], deadline)
            for start in range(0, len(hydrated), BATCH):
                yield hydrated if len(hydrated) <= BATCH else hydrated.part(start, start + BATCH)

    def retrieve(self, batch: Batch) -> Retrieved:
        """Runs sources, merge and filters; returns candidates in retrieval order, without features."""
        return self._retrieval.retrieve(batch)

    def complete(self, retrieved: Retrieved) -> CandidateSet:
        """Returns the candidates with the scores and ranks by all sources, as the ranker reads them."""
        return self._retrieval.complete(retrieved)

    def filter(self, batch: Batch, candidates: CandidateSet) -> CandidateSet:
        """Returns the candidates that every filter keeps; removed candidates are counted by filter."""
        return self._retrieval.filter(batch, candidates)

    def features(self, batch: Batch, candidates: CandidateSet) -> FloatArray:
        """Returns the ranker features [n, F] of completed candidates."""
        return self._ranking.features(batch, candidates)

    def rank(self, batch: Batch, retrieved: Retrieved) -> CandidateSet:
        """Returns the candidates, with scores and features from the ranker for the queries that are ranked."""
        return self._ranking.rank(batch, retrieved)

    def arrange(self, batch: Batch, candidates: CandidateSet, depth: int) -> CandidateSet:
        """Returns the first `depth` candidates of each query as the selectors order them, without features."""
        longer = replace(batch, queries=[replace(query, count=depth) for query in batch.queries])
        return self._arranged(longer, replace(candidates, features=None))

    def select(self, batch: Batch, candidates: CandidateSet) -> list[Slate]:
        """Returns the slates of the candidates that the selectors choose, with reasons."""
        start = time.perf_counter()
        top = self._arranged(batch, candidates)
        ranked: Mask = np.zeros(len(batch), dtype=np.bool_)
        if top.features is not None:
            ranked = self._ranking.ranked(batch)
        written = self._slates.write(batch, top, ranked)
        self._executor.note(batch.trace, "select", time.perf_counter() - start)
        marks, seconds = tuple(batch.trace.degraded), dict(batch.trace.seconds)
        return [replace(slate, degraded=marks, stage_seconds=seconds) for slate in written]

    def _arranged(self, batch: Batch, candidates: CandidateSet) -> CandidateSet:
        for selector in self.stages.selectors:
            candidates = _selected(selector, batch, candidates)
        return candidates

    def _hydrate(self, queries: Sequence[Query], deadline: float | None) -> Batch:
        unknown = self._unknown if len(queries) == 1 else cold_users(len(queries), self.artifacts.feature_set)
        batch = Batch(queries, unknown, Trace(), deadline, self.artifacts.version)
        timeout = allowed(batch.timeouts(self._timeouts).users, len(queries))
        for hydrator in self.stages.hydrators:
            work = partial(_hydrated, hydrator, batch)
            hydrated = self._executor.ask(batch.trace, hydrator.name, work, reason=hydrator.mark, timeout=timeout)
            batch = batch if hydrated is None else hydrated
        return batch

    def _hand_over(self, recorder: Recorder, slates: Sequence[Slate]) -> None:
        kept = [slate for slate in slates if recorder.applies(slate)]
        if kept:
            recorder(kept, self.artifacts)


def _hydrated(hydrator: Hydrator, batch: Batch) -> Batch:
    return hydrator(batch) if hydrator.applies(batch).any() else batch


def _selected(selector: Selector, batch: Batch, candidates: CandidateSet) -> CandidateSet:
    """Runs a selector for the queries to which it applies; candidates of other queries stay unchanged."""
    mine = selector.applies(batch)
    if mine.all():
        return selector(batch, candidates)
    if not mine.any():
        return candidates
    mask = mine[candidates.query_index]
    return spliced(selector(batch, candidates.keep(mask)), candidates.keep(~mask))
