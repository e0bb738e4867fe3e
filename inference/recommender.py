"""The recommender: one readable sequence from queries to slates, for one query or tens of thousands.

hydrate users -> sources -> merge -> filters -> hydrate candidates -> score -> select -> reasons

Serving, evaluation, batch and the ranker's training rows all run through it; they differ in the reader, the scorer and
the executor they hand in. How failures are treated is for the `Executor`. It refuses to hold state between calls: what
moves comes in with new `Artifacts` and a new recommender.

The surface `similar` is answered by similarity to the seed alone, without the ranker, which is fitted on slates for
people, not for items. Users whom the store does not know get the popular order (of their country, else of all).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from feature_repo.errors import PredictorError
from feature_repo.features.state import FloatArray, TimeArray, UserColumns
from feature_repo.features.transforms import assemble
from inference.candidates.query import CandidateSet, Query, Slate
from inference.candidates.users import cold_users, span
from inference.filters import availability, exclude, repeats, seed
from inference.filters.protocol import Filter
from inference.flow.executor import Executor, Trace
from inference.flow.merge import concatenate, merge
from inference.flow.slates import SlateWriter
from inference.flow.source_scores import complete
from inference.flow.timeouts import PARALLEL_UP_TO, Timeouts, allowed
from inference.flow.topup import top_up
from inference.models.artifacts import Artifacts
from inference.scorers.protocol import Scorer
from inference.sources.covisitation import CovisitationSource
from inference.sources.own import OwnSource
from inference.sources.popular import PopularSource
from inference.sources.protocol import Found, Source
from inference.sources.two_tower import TwoTowerSource

HYDRATED_TOGETHER = 16_384  # users read from the store in one call
BATCH = 512  # queries worked on at a time: 512 x 550 candidates x 100 features are 110 MB


class UserReader(Protocol):
    """Where the state of users comes from (`inference.feature_store`)."""

    def users(self, user_ids: Sequence[str], times: TimeArray) -> UserColumns:
        """State of users as of times [q]."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Queries on their way through the stages.

    Attributes:
        queries: q queries.
        users: State of their users [q].
        trace: Times and marks so far.
        deadline: `time.monotonic()` by which the slate is wanted, None for no hurry.
    """

    queries: Sequence[Query]
    users: UserColumns
    trace: Trace
    deadline: float | None = None

    def __len__(self) -> int:
        return len(self.queries)


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What retrieval ends with.

    Attributes:
        candidates: Filtered candidates in retrieval order.
        found: What each source that answered found, beyond its quota too.
    """

    candidates: CandidateSet
    found: Mapping[str, Found]


class Recommender:
    """Answers queries from one release's artifacts; safe to share between threads.

    Args:
        artifacts: Models and tables; without towers the two-tower source stays silent.
        users: Reads the state of users.
        scorer: Ranks; None keeps the retrieval order.
        executor: Failure policy and threads; by default strict and single-threaded, as evaluation wants it.
        timeouts: Kept by an executor with threads only.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        users: UserReader,
        scorer: Scorer | None = None,
        *,
        executor: Executor | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.artifacts = artifacts
        self.users = users
        self.scorer = scorer
        self.executor = executor or Executor(strict=True)
        self.timeouts = timeouts or Timeouts()
        self._popular = PopularSource(artifacts)
        sources: tuple[Source, ...] = (
            TwoTowerSource(artifacts),
            CovisitationSource(artifacts),
            OwnSource(artifacts),
            self._popular,
        )
        self.sources = {source.name: source for source in sources if source.name in artifacts.feature_set.sources}
        self.filters: tuple[Filter, ...] = (
            repeats.RepeatsFilter(artifacts),
            availability.AvailabilityFilter(artifacts),
            seed.SeedFilter(artifacts),
            exclude.ExcludeFilter(artifacts),
        )
        self._slates = SlateWriter(artifacts)

    def recommend(self, queries: Sequence[Query], deadline: float | None = None) -> list[Slate]:
        """A slate for each query, in their order; never empty unless every item is filtered out."""
        slates: list[Slate] = []
        for batch in self.batches(queries, deadline):
            slates.extend(self.select(batch, self.rank(batch, self.retrieve(batch))))
        return slates

    def candidates(self, queries: Sequence[Query]) -> CandidateSet:
        """Filtered and hydrated candidates of all queries in retrieval order, unranked (about 0.2 MB a query)."""
        parts = []
        for batch in self.batches(queries):
            found = self.complete(self.retrieve(batch))
            parts.append(found.with_features(self.features(batch, found)))
        return concatenate(parts, len(self.artifacts.feature_set.sources))

    def ranked(self, queries: Sequence[Query], depth: int | None = None) -> CandidateSet:
        """The best `depth` candidates of every query (all where None) in final order, without features."""
        parts = []
        for batch in self.batches(queries):
            found = self.rank(batch, self.retrieve(batch))
            parts.append(found.best(len(found) if depth is None else depth))
        return concatenate(parts, len(self.artifacts.feature_set.sources))

    def batches(self, queries: Sequence[Query], deadline: float | None = None) -> Iterator[Batch]:
        """The queries in batches of at most `BATCH`, their users hydrated."""
        for first in range(0, len(queries), HYDRATED_TOGETHER):
            many = queries[first : first + HYDRATED_TOGETHER]
            trace = Trace()
            users = self._hydrate(many, trace)
            for start in range(0, len(many), BATCH):
                part = many[start : start + BATCH]
                own_trace = Trace(dict(trace.seconds), list(trace.degraded))
                yield Batch(part, span(users, start, start + len(part)), own_trace, deadline)

    def retrieve(self, batch: Batch) -> Retrieved:
        """Sources, merge, filters: candidates in retrieval order, without features."""
        run, num_items = self.executor, len(self.artifacts.items)
        quotas, reach = self.artifacts.config.quotas, self.artifacts.config.reach
        found = run.run_all(
            batch.trace,
            {
                name: partial(source, batch.queries, batch.users, max(quotas[name], reach.get(name, 0)))
                for name, source in self.sources.items()
                if quotas.get(name, 0) > 0
            },
            timeout=allowed(self.timeouts.sources, len(batch), batch.deadline),
            parallel=len(batch) <= PARALLEL_UP_TO,
        )
        start = time.perf_counter()
        answered: dict[str, Found] = {name: part for name, part in found.items() if part is not None}
        names = self.artifacts.feature_set.sources
        brought = {name: part.first(quotas[name]) for name, part in answered.items()}
        merged = merge(brought, names, self._weights(batch), self.artifacts.config.rank_constant, num_items)
        self._note(batch.trace, "merge", start)
        start = time.perf_counter()
        kept = self.filter(batch, merged)
        kept = top_up(batch.queries, kept, self._popular, partial(self.filter, batch), self.artifacts)
        self._note(batch.trace, "filters", start)
        return Retrieved(kept, answered)

    def complete(self, retrieved: Retrieved) -> CandidateSet:
        """The candidates with the scores and ranks of all sources, as the ranker wants them."""
        artifacts = self.artifacts
        names, num_items = artifacts.feature_set.sources, len(artifacts.items)
        return complete(retrieved.candidates, retrieved.found, names, num_items, artifacts.embeddings)

    def filter(self, batch: Batch, candidates: CandidateSet) -> CandidateSet:
        """The candidates that every filter keeps; what each removes is counted."""
        for rule in self.filters:
            mask = rule(batch.queries, batch.users, candidates)
            removed = len(mask) - int(np.count_nonzero(mask))
            if removed:
                candidates = candidates.keep(mask)
                if self.executor.observer is not None:
                    self.executor.observer.filtered(rule.name, removed)
        return candidates

    def features(self, batch: Batch, candidates: CandidateSet) -> FloatArray:
        """Ranker features of completed candidates of the batch [n, F]."""
        artifacts = self.artifacts
        return assemble(batch.queries, batch.users, artifacts.items, candidates, artifacts.feature_set)

    def rank(self, batch: Batch, retrieved: Retrieved) -> CandidateSet:
        """The candidates with the ranker's scores and features where it applies and answers, else as they came."""
        candidates = retrieved.candidates
        if self.scorer is None or len(candidates) == 0:
            return candidates
        ranked = self._ranked_queries(batch)
        mask = ranked[candidates.query_index]
        if not mask.any():
            return candidates
        asked = candidates if mask.all() else candidates.keep(mask)
        features = self.executor.run(
            batch.trace,
            "features",
            lambda: self.features(batch, self.complete(Retrieved(asked, retrieved.found))),
            reason="ranker",
        )
        if features is None:
            return candidates
        hydrated = asked.with_features(features)
        scored = self.executor.ask(batch.trace, "ranker", lambda: self._score(batch, hydrated))
        if scored is None:
            return candidates
        if asked is candidates:
            return scored
        return _spread(scored, candidates, mask)

    def select(self, batch: Batch, candidates: CandidateSet) -> list[Slate]:
        """The best of each query with reasons; equal scores by row."""
        start = time.perf_counter()
        top = candidates.best(np.array([query.count for query in batch.queries]), with_features=True)
        ranked = self._ranked_queries(batch) if top.features is not None else np.zeros(len(batch), dtype=np.bool_)
        written = self._slates.write(batch.queries, batch.users, top, ranked)
        self._note(batch.trace, "select", start)
        marks, seconds = tuple(batch.trace.degraded), dict(batch.trace.seconds)
        return [replace(slate, degraded=marks, stage_seconds=seconds) for slate in written]

    def _hydrate(self, queries: Sequence[Query], trace: Trace) -> UserColumns:
        ids = [query.user_id for query in queries]
        times = np.array([query.time for query in queries], dtype=np.float64)
        timeout = allowed(self.timeouts.users, len(queries))
        users = self.executor.ask(
            trace, "users", lambda: self.users.users(ids, times), reason="features", timeout=timeout
        )
        return cold_users(len(queries), self.artifacts.feature_set) if users is None else users

    def _score(self, batch: Batch, candidates: CandidateSet) -> CandidateSet:
        assert self.scorer is not None
        timeout = allowed(self.timeouts.ranker, len(batch), batch.deadline)
        deadline = None if self.executor.strict else time.monotonic() + timeout
        score, probabilities = self.scorer.score(candidates, self.artifacts.version, deadline)
        if len(score) != len(candidates):
            raise PredictorError(f"The ranker answered {len(score)} scores for {len(candidates)} candidates.")
        if not np.isfinite(score).any():
            raise PredictorError("The ranker answered no finite score.")
        return candidates.with_scores(np.asarray(score, dtype=np.float32), probabilities)

    def _ranked_queries(self, batch: Batch) -> npt.NDArray[np.bool_]:
        personal = np.array([query.surface != "similar" for query in batch.queries], dtype=np.bool_)
        return personal if self.artifacts.config.rank_cold else personal & batch.users.known

    def _weights(self, batch: Batch) -> npt.NDArray[np.float64]:
        """Weight of each source for each query [q, num_sources]; beside a seed item, popular comes last."""
        config, names = self.artifacts.config, self.artifacts.feature_set.sources
        weights = np.tile([config.weights.get(name, 1.0) for name in names], (len(batch), 1))
        if "popular" in names:
            similar = np.array([query.surface == "similar" for query in batch.queries], dtype=np.bool_)
            weights[similar, names.index("popular")] = config.fallback_weight
        return weights

    def _note(self, trace: Trace, name: str, start: float) -> None:
        seconds = time.perf_counter() - start
        trace.seconds[name] = trace.seconds.get(name, 0.0) + seconds
        if self.executor.observer is not None:
            self.executor.observer.stage(name, seconds)


def _spread(scored: CandidateSet, candidates: CandidateSet, mask: npt.NDArray[np.bool_]) -> CandidateSet:
    """All candidates, those where `mask` [n] is true with what the ranker said of them; NaN for the others."""
    assert scored.features is not None
    score = candidates.score.copy()
    score[mask] = scored.score
    features = np.full((len(mask), scored.features.shape[1]), np.nan, dtype=np.float32)
    features[mask] = scored.features
    probabilities = {name: np.full(len(mask), np.nan, dtype=np.float32) for name in scored.probabilities}
    for name, column in probabilities.items():
        column[mask] = scored.probabilities[name]
    return candidates.with_scores(score, probabilities).with_features(features)
