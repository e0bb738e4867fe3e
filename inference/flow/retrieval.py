"""Retrieval: sources, merge and filters, from a batch of queries to candidates in retrieval order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from inference.candidates.batch import Batch, Mask
from inference.candidates.found import Found
from inference.candidates.query import CandidateSet
from inference.candidates.timeouts import PARALLEL_UP_TO, Timeouts, allowed
from inference.filters.protocol import Filter
from inference.flow.executor import Executor
from inference.flow.merge import merge
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
        found = self._ask(batch)
        start = time.perf_counter()
        names = artifacts.feature_set.sources
        brought = {name: part.first(config.quotas[name]) for name, part in found.items()}
        merged = merge(brought, names, self._weights(batch), config.rank_constant, len(artifacts.items))
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
            if not judged.any():
                continue
            mask = rule(batch, candidates)
            if not judged.all():
                mask = mask | ~judged[candidates.query_index]
            removed = len(mask) - int(np.count_nonzero(mask))
            if removed:
                candidates = candidates.keep(mask)
                if self._executor.observer is not None:
                    self._executor.observer.filtered(rule.name, removed)
        return candidates

    def _ask(self, batch: Batch) -> dict[str, Found]:
        """Queries the sources and returns the lists of those that answered, by name."""
        config = self._artifacts.config
        asked = {name: self._asked(source, batch) for name, source in self._sources.items() if config.quotas[name] > 0}
        found = self._executor.run_all(
            batch.trace,
            {
                name: partial(self._sources[name], batch, max(config.quotas[name], config.reach.get(name, 0)))
                for name, mask in asked.items()
                if mask.any()
            },
            timeout=allowed(batch.timeouts(self._timeouts).sources, len(batch), batch.deadline),
            parallel=len(batch) <= PARALLEL_UP_TO,
        )
        return {name: part.only(asked[name]) for name, part in found.items() if part is not None}

    def _asked(self, source: Source, batch: Batch) -> Mask:
        """Returns whether each query uses the source [q]: the surface allows the source, and the source applies."""
        wanted = np.array([surface.asks(source.name) for surface in batch.surfaces], dtype=np.bool_)
        return wanted & source.applies(batch)

    def _weights(self, batch: Batch) -> npt.NDArray[np.float64]:
        """Returns the weight of each source for each query [q, num_sources]."""
        names = self._artifacts.feature_set.sources
        weights = np.ones((len(batch), len(names)))
        for place, name in enumerate(names):
            if name in self._sources:
                weights[:, place] = self._sources[name].weights(batch)
        return weights
