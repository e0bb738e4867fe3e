"""Judges an order of all candidates of past queries as the evaluation judges the final lists.

`JudgedQueries` holds the feature rows of all candidates of a query, and which of them are relevant. Its NDCG is that of
`components/evaluation/metrics.py`: binary relevance, ties by item row, and an ideal over all relevant items of the
query, also those that no source found. Early stopping, the fusion and the choice of the served order compare scores by
it. Training rows (`build.py`) hold a sample of the candidates and are easier to order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.evaluation import metrics
from components.replay.groups import Groups
from components.replay.replay import Replay, ReplayedBatch
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import FloatArray, OffsetArray
from inference.candidates.ragged import best, contains, offsets_from_owners, owners_from_offsets, ranks
from inference.candidates.repeats import ruled_out
from inference.flow.retrieval import Retrieved
from inference.models.config import RecommenderConfig

DEPTH = 20  # of NDCG, which early stopping and the gate look at
MOST_BYTES = 150_000_000  # of the features; twice as much while the parts are joined


@dataclass(frozen=True, slots=True)
class JudgedQueries:
    """All candidates of g queries with relevant items; the rows of a query are contiguous and ascend by item row.

    Attributes:
        features: In `FeatureSet.ranker_features` order [n, F].
        relevant: Whether the row is relevant [n].
        offsets: Rows of query i are `offsets[i]:offsets[i + 1]` [g + 1]. A query without a relevant candidate has no
            rows, because every order of its candidates scores 0.
        num_relevant: Number of relevant items of each query, found or not, at least 1 [g].
        user_ids: User of each query [g]; a user may have several queries.
        cold: `Artifacts.unseen` of the row's item at the query [n]; None if it is not known.
    """

    features: FloatArray
    relevant: npt.NDArray[np.bool_]
    offsets: OffsetArray
    num_relevant: npt.NDArray[np.int64]
    user_ids: npt.NDArray[np.object_]
    cold: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.num_relevant)

    def ndcg(self, scores: npt.NDArray[np.floating], k: int = DEPTH) -> npt.NDArray[np.float64]:
        """NDCG at k of each query [g] if its candidates are ordered by score; `components/evaluation/metrics.py`.

        Args:
            scores: Score of each row [n], higher is better. As in serving, they are compared as float32, and scores
                that are not finite rank below all others.
            k: Number of positions that count.
        """
        given = np.where(np.isfinite(scores), scores, -np.inf).astype(np.float32)
        owners = owners_from_offsets(self.offsets)
        near = np.flatnonzero(given >= self._least(given, k)[owners])
        order = near[best(owners[near], given[near], k, len(self))]
        place = ranks(offsets_from_owners(owners[order], len(self)))
        hit = np.zeros((len(self), k), dtype=np.bool_)
        hit[owners[order], place] = self.relevant[order]
        return metrics.ndcg(hit, self.num_relevant, k)

    def take(self, queries: npt.NDArray[np.integer]) -> JudgedQueries:
        """The given queries, in the given order."""
        counts = np.diff(self.offsets)[queries]
        offsets: OffsetArray = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[queries] - offsets[:-1], counts)
        return JudgedQueries(
            self.features[rows],
            self.relevant[rows],
            offsets,
            self.num_relevant[queries],
            self.user_ids[queries],
            None if self.cold is None else self.cold[rows],
        )

    @staticmethod
    def concatenate(parts: Sequence[JudgedQueries]) -> JudgedQueries:
        """The queries of all parts, in order; at least one part."""
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        return JudgedQueries(
            features=np.concatenate([part.features for part in parts]),
            relevant=np.concatenate([part.relevant for part in parts]),
            offsets=np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
            num_relevant=np.concatenate([part.num_relevant for part in parts]),
            user_ids=np.concatenate([part.user_ids for part in parts]),
            cold=np.concatenate([part.cold for part in parts if part.cold is not None]),
        )

    def _least(self, scores: FloatArray, k: int) -> FloatArray:
        """The k-th highest score of each query, minus infinity if it has fewer candidates [g]."""
        counts = np.diff(self.offsets)
        width = max(int(counts.max(initial=0)), k)
        table = np.full((len(self), width), -np.inf, dtype=np.float32)
        table[np.arange(width) < counts[:, None]] = scores
        least: FloatArray = np.partition(table, width - k, axis=1)[:, width - k]
        return least


def most_judged(feature_set: FeatureSet, config: RecommenderConfig) -> int:
    """Number of queries whose candidates take at most `MOST_BYTES`."""
    row_bytes = 4 * len(feature_set.ranker_features)
    return max(1, MOST_BYTES // (row_bytes * max(1, sum(config.quotas.values()))))


def judge_groups(groups: Groups, replay: Replay, *, limit: int, seed: int, what: str) -> JudgedQueries:
    """Asks the recommender for all candidates of the groups with a positive outcome.

    Groups of unknown users are left out, because the ranker does not rank them. So are items that the filter of own
    items removes, because the evaluation does not count them as relevant.

    Args:
        groups: Groups in order of time.
        replay: Recommenders as of the cuts before the groups' queries.
        limit: Maximum number of groups, see `most_judged`; the seed selects the sample.
        seed: Seed of the sample.
        what: Name of the work for the progress line.
    """
    drawn = groups.take(draw_liked(groups, limit, seed))
    return JudgedQueries.concatenate(
        [
            judged_batch(part, part.recommender.retrieve(part.batch), drawn)
            for part in replay.batches(drawn.queries, what)
        ]
    )


def draw_liked(groups: Groups, limit: int, seed: int) -> npt.NDArray[np.int64]:
    """Places of at most `limit` groups with a positive outcome, ascending; the seed selects the sample."""
    liked = np.flatnonzero(np.add.reduceat(groups.grades > 0, groups.offsets[:-1], dtype=np.int64))
    return np.sort(np.random.default_rng(seed).permutation(liked)[:limit])


def judged_batch(part: ReplayedBatch, retrieved: Retrieved, groups: Groups) -> JudgedQueries:
    """The queries of a batch that are judged.

    Args:
        part: The batch.
        retrieved: Its candidates.
        groups: All groups of the replay; those without a grade are not judged.
    """
    recommender, batch = part.recommender, part.batch
    num_items = len(recommender.artifacts.items)
    relevant = _relevant_keys(part, groups)
    num_relevant = np.bincount(relevant // num_items, minlength=len(batch))
    given = retrieved.candidates
    hit = contains(given.query_index * num_items + given.rows, relevant)
    counts = (np.bincount(given.query_index[hit], minlength=len(batch)) > 0) & batch.users.known
    kept = recommender.complete(Retrieved(given.keep(counts[given.query_index]), retrieved.found))
    order = np.lexsort((kept.rows, kept.query_index))
    keys = (kept.query_index * num_items + kept.rows)[order]
    asked = np.flatnonzero((num_relevant > 0) & batch.users.known)
    return JudgedQueries(
        features=recommender.features(batch, kept)[order],
        relevant=contains(keys, relevant),
        offsets=np.concatenate(([0], np.cumsum(np.diff(kept.offsets)[asked]))).astype(np.int64),
        num_relevant=num_relevant[asked],
        user_ids=np.array([query.user_id for query in batch.queries], dtype=object)[asked],
        cold=recommender.artifacts.unseen[kept.rows[order]],
    )


def _relevant_keys(part: ReplayedBatch, groups: Groups) -> npt.NDArray[np.int64]:
    """The positive outcomes that may be listed, as query * num_items + row, ascending."""
    artifacts, own = part.recommender.artifacts, part.batch.users.own
    num_items = len(artifacts.items)
    asked = groups.take(part.places)
    keys = owners_from_offsets(asked.offsets) * num_items + artifacts.rows_of(asked.item_ids)
    never = ruled_out(own, artifacts.feature_set)
    excluded = (owners_from_offsets(own.offsets) * num_items + own.rows)[never]
    return np.setdiff1d(keys[asked.grades > 0], excluded)
