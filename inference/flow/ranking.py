"""Ranking: computes features and runs the scorers. If ranking does not apply or fails, the retrieval order stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from feature_repo.errors import PredictorError
from feature_repo.features.state import FloatArray
from feature_repo.features.transforms import assemble
from inference.candidates.batch import Batch, Mask
from inference.candidates.query import CandidateSet
from inference.candidates.ragged import ranks
from inference.candidates.timeouts import Timeouts, allowed
from inference.flow.executor import Executor
from inference.flow.retrieval import Retrieved
from inference.models.artifacts import Artifacts
from inference.scorers.protocol import Scorer


class Ranking:
    """Orders candidates by the scorers.

    Args:
        artifacts: The release.
        scorers: Run in order; an empty sequence keeps the retrieval order.
        complete: Fills in the scores and ranks by all sources, which the ranker reads.
        executor: Failure policy and threads.
        timeouts: Time limits of the stages; only an executor with threads applies them.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        scorers: Sequence[Scorer],
        complete: Callable[[Retrieved], CandidateSet],
        executor: Executor,
        timeouts: Timeouts,
    ) -> None:
        self._artifacts = artifacts
        self._scorers = scorers
        self._complete = complete
        self._executor = executor
        self._timeouts = timeouts

    def features(self, batch: Batch, candidates: CandidateSet) -> FloatArray:
        """Returns the ranker features [n, F] of completed candidates."""
        artifacts = self._artifacts
        return assemble(batch.queries, batch.users, artifacts.items, candidates, artifacts.feature_set)

    def rank(self, batch: Batch, retrieved: Retrieved) -> CandidateSet:
        """Returns the candidates, with scores and features from the ranker for the queries that are ranked.

        At most `most_ranked` candidates of a query are ranked, and its others follow them in retrieval order.
        """
        candidates = retrieved.candidates
        if not self._scorers or len(candidates) == 0:
            return candidates
        mask = self.ranked(batch)[candidates.query_index]
        if self._artifacts.config.most_ranked is not None:
            mask &= ranks(candidates.offsets) < self._artifacts.config.most_ranked
        if not mask.any():
            return candidates
        asked = candidates if mask.all() else candidates.keep(mask)
        features = self._executor.run(
            batch.trace,
            "features",
            lambda: self.features(batch, self._complete(Retrieved(asked, retrieved.found))),
            reason="ranker",
        )
        if features is None:
            return candidates
        scored = self._score(batch, asked.with_features(features))
        if scored is None:
            return candidates
        return scored if asked is candidates else _last(_spread(scored, candidates, mask), mask)

    def ranked(self, batch: Batch) -> Mask:
        """Returns whether each query is ranked [q]: on ranked surfaces, for known users (all users if `rank_cold`)."""
        personal = np.array([surface.ranked for surface in batch.surfaces], dtype=np.bool_)
        return personal if self._artifacts.config.rank_cold else personal & batch.users.known

    def _score(self, batch: Batch, candidates: CandidateSet) -> CandidateSet | None:
        """Returns the candidates after all scorers; None if no scorer answered."""
        scored = None
        for scorer in self._scorers:
            before = candidates if scored is None else scored
            applies = self._executor.attempt(
                batch.trace, scorer.name, partial(scorer.applies, batch), np.zeros(len(batch), dtype=np.bool_)
            )
            mask = applies[before.query_index]
            if not mask.any():
                continue
            asked = before if mask.all() else before.keep(mask)
            answer = self._executor.ask(batch.trace, scorer.name, partial(self._answer, scorer, batch, asked))
            if answer is not None:
                scored = answer if asked is before else _spread(answer, before, mask)
        return scored

    def _answer(self, scorer: Scorer, batch: Batch, candidates: CandidateSet) -> CandidateSet:
        """Returns the candidates with the scores of one scorer.

        Raises:
            PredictorError: The number of scores is wrong, or no score is finite.
        """
        timeout = allowed(batch.timeouts(self._timeouts).ranker, len(batch), batch.deadline)
        deadline = None if self._executor.strict else time.monotonic() + timeout
        score, probabilities = scorer.score(batch, candidates, deadline)
        if len(score) != len(candidates):
            raise PredictorError(f"The ranker returned {len(score)} scores for {len(candidates)} candidates.")
        if not np.isfinite(score).any():
            raise PredictorError("The ranker returned no finite score.")
        merged = {**candidates.probabilities, **probabilities}
        return candidates.with_scores(np.asarray(score, dtype=np.float32), merged)


def _spread(scored: CandidateSet, candidates: CandidateSet, mask: Mask) -> CandidateSet:
    """Returns all candidates, with the scored values where `mask` [n] is true.

    The others keep their score, features and probabilities; missing values are NaN.
    """
    assert scored.features is not None
    score = candidates.score.copy()
    score[mask] = scored.score
    features = _column(candidates.features, (len(mask), scored.features.shape[1]))
    features[mask] = scored.features
    probabilities = {
        name: _column(candidates.probabilities.get(name), (len(mask),))
        for name in (*candidates.probabilities, *scored.probabilities)
    }
    for name, column in scored.probabilities.items():
        probabilities[name][mask] = column
    return candidates.with_scores(score, probabilities).with_features(features)


def _last(candidates: CandidateSet, ranked: Mask) -> CandidateSet:
    """Places the other candidates of partly ranked queries below the ranked ones, in their order."""
    owners, score = candidates.query_index, candidates.score.copy()
    lowest = np.full(candidates.num_queries, np.inf, dtype=np.float32)
    finite = ranked & np.isfinite(score)
    np.minimum.at(lowest, owners[finite], score[finite])
    others = ~ranked & np.isfinite(lowest[owners])
    score[others] = lowest[owners[others]] - 1 - ranks(candidates.offsets)[others]
    return candidates.with_scores(score, candidates.probabilities)


def _column(known: FloatArray | None, shape: tuple[int, ...]) -> FloatArray:
    return np.full(shape, np.nan, dtype=np.float32) if known is None else known.copy()
