"""Retrieval: sources, merge and filters, from a batch of queries to candidates in retrieval order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from inference.candidates.batch import Batch
from inference.candidates.found import Found
from inference.candidates.query import CandidateSet
from inference.candidates.repeats import ruled_out_keys
from inference.candidates.timeouts import PARALLEL_UP_TO, Timeouts, allowed
from inference.filters.protocol import Filter
from inference.flow.executor import Executor
from inference.flow.merge import LearnedOrder, merge
from inference.flow.source_scores import complete
from inference.flow.topup import top_up
from inference.models.artifacts import Artifacts
from inference.sources.protocol import FallbackSource, Source


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The result of retrieval.

    Attributes:
        candidates: The filtered candidates in retrieval order.
        found: The full list of each source that answered, including items beyond its quota.
    """

    candidates: CandidateSet
    found: Mapping[str, Found]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a source found, and its weight for each query [q]."""

    found: Found
    weights: npt.NDArray[np.float64]


class Retrieval:
    """Queries the sources in parallel, merges their lists and applies the filters.

    Args:
        artifacts: The release.
        sources: The sources to query.
        filters: Run in order.
        fallback: Fills slates that have too few candidates.
        executor: Failure policy and threads.
        timeouts: Time limits of the stages; only an executor with threads applies them.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        sources: Sequence[Source],
        filters: Sequence[Filter],
        fallback: FallbackSource,
        executor: Executor,
        timeouts: Timeouts,
    ) -> None:
        self._artifacts = artifacts
        self._sources = {source.name: source for source in sources}
        self._filters = filters
        self._fallback = fallback
        self._executor = executor
        self._timeouts = timeouts

    def retrieve(self, batch: Batch) -> Retrieved:
        """Returns the candidates of a batch, without features."""
        artifacts, config = self._artifacts, self._artifacts.config
        answers = self._ask(batch)
        start = time.perf_counter()
        names = artifacts.feature_set.sources
        found = {name: answer.found for name, answer in answers.items()}
        brought = {name: part.first(config.quotas[name]) for name, part in found.items()}
        weights = np.ones((len(batch), len(names)))
        for name, answer in answers.items():
            weights[:, names.index(name)] = answer.weights
        learned = self._learned(batch)
        merged = merge(brought, names, weights, config.rank_constant, len(artifacts.items), learned)
        self._executor.note(batch.trace, "merge", time.perf_counter() - start)
        start = time.perf_counter()
        kept = self.filter(batch, merged)
        kept = top_up(batch, kept, self._fallback, partial(self.filter, batch), artifacts)
        self._executor.note(batch.trace, "filters", time.perf_counter() - start)
        return Retrieved(kept, found)

    def complete(self, retrieved: Retrieved) -> CandidateSet:
        """Returns the candidates with the scores and ranks by all sources, as the ranker reads them."""
        names, num_items = self._artifacts.feature_set.sources, len(self._artifacts.items)
        return complete(retrieved.candidates, retrieved.found, names, num_items)

    def filter(self, batch: Batch, candidates: CandidateSet) -> CandidateSet:
        """Returns the candidates that every filter keeps; removed candidates are counted by filter."""
        for rule in self._filters:
            judged = rule.applies(batch)
            if judged.all():
                mask = rule(batch, candidates)
            elif judged.any():
                mask = rule(batch, candidates) | ~judged[candidates.query_index]
            else:
                continue
            removed = len(mask) - int(np.count_nonzero(mask))
            if removed:
                candidates = candidates.keep(mask)
                if self._executor.observer is not None:
                    self._executor.observer.filtered(rule.name, removed)
        return candidates

    def _learned(self, batch: Batch) -> LearnedOrder | None:
        """The learned weights order every surface except seeded surfaces, because they are learned from user feeds."""
        fusion = self._artifacts.config.fusion
        if fusion is None:
            return None
        segments = fusion.segments_of(np.diff(batch.users.history.offsets))
        return LearnedOrder(fusion, np.where(batch.seeded, -1, segments))

    def _ask(self, batch: Batch) -> dict[str, _Answer]:
        """Queries the sources and returns the answers by name, without the sources that failed."""
        artifacts, quotas = self._artifacts, self._artifacts.config.quotas
        # Own items that the filters remove would take places in the quotas.
        barred = ruled_out_keys(batch.users.own, artifacts.feature_set, len(artifacts.items))
        asked = {name: source for name, source in self._sources.items() if quotas[name] > 0}
        answers = self._executor.run_all(
            batch.trace,
            {name: partial(self._answer, source, batch, barred) for name, source in asked.items()},
            timeout=allowed(batch.timeouts(self._timeouts).sources, len(batch), batch.deadline),
            parallel=len(batch) <= PARALLEL_UP_TO,
        )
        return {name: answer for name, answer in answers.items() if answer is not None}

    def _answer(self, source: Source, batch: Batch, barred: npt.NDArray[np.int64]) -> _Answer:
        """Asks one source for the queries whose surface allows it and that it applies to.

        Args:
            source: The source.
            batch: The queries.
            barred: query * num_items + row of the own items that must not be recommended again, ascending [n].
        """
        config = self._artifacts.config
        allows = [surface.asks(source.name) and (source.seeded or not surface.seeded) for surface in batch.surfaces]
        mask = np.array(allows, dtype=np.bool_)
        if mask.any():
            mask &= source.applies(batch)
        weights = source.weights(batch)
        if not mask.any():
            return _Answer(Found.nothing(len(batch)), weights)
        reach = max(config.quotas[source.name], config.reach.get(source.name, 0))
        found = source(batch, reach).only(mask)
        return _Answer(found.without(barred, len(self._artifacts.items)), weights)
