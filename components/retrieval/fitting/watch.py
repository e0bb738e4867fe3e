"""ListQuality of the towers on a span of the log, for early stopping.

As in the temporal protocol of the evaluation, each user has one query at the span's start over the full catalogue.
Training stops on NDCG over the first `list_length` items: recall of as many items stops rising while their order still
improves, and the ranker reads the towers' scores as features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.retrieval.config import TrainingConfig
from components.retrieval.fitting.workers import Workers
from components.retrieval.log import IndexArray, PositiveLog, ragged
from components.retrieval.model import TrainableTowers, TrainingData, user_inputs
from feature_repo.features.state import IntArray

_CHUNK = 64  # users per batch that is scored against the whole catalogue; the attention of as many fits into a cache


@dataclass(frozen=True, slots=True)
class Watch:
    """The users whose lists are measured, and their relevant and excluded items.

    Attributes:
        start: Unix seconds of the queries.
        users: User codes [w], ascending; every user has a history.
        ends: End of each history in the log [w].
        relevant: Sorted keys user * m + row of the items chosen in the span.
        excluded: Sorted keys of the pairs that `repeats` excludes.
        num_items: Size m of the catalogue.
    """

    start: float
    users: IntArray
    ends: IndexArray
    relevant: IndexArray
    excluded: IndexArray
    num_items: int

    def __len__(self) -> int:
        return len(self.users)

    @classmethod
    def of(cls, data: TrainingData, start: float, end: float, most: int) -> Watch:
        """At most `most` users with events before `start` (a cut) and relevant events in start..end."""
        log, num_items = data.log, len(data.items)
        excluded = np.unique(_keys(*log.ruled_out(data.feature_set.repeats, start), num_items))
        span = (log.times >= start) & (log.times < end)
        relevant = np.setdiff1d(_keys(log.users[span], log.rows[span], num_items), excluded)
        users = np.unique(relevant // num_items).astype(np.int32)
        ends = known_before(log, users, start)
        warm = ends > log.offsets[users]
        users, ends = users[warm], ends[warm]
        if len(users) > most:
            chosen = np.sort(np.random.default_rng(0).choice(len(users), most, replace=False))
            users, ends = users[chosen], ends[chosen]
        return cls(start, users, ends, relevant, excluded, num_items)


@dataclass(frozen=True, slots=True)
class ListQuality:
    """Means over the watched users, for lists of `TrainingConfig.list_length`; NaN without users."""

    recall: float
    ndcg: float


UNKNOWN = ListQuality(math.nan, math.nan)


def quality(
    towers: TrainableTowers, data: TrainingData, watch: Watch, config: TrainingConfig, workers: Workers
) -> ListQuality:
    """Recall and NDCG of the towers' lists, as `components/evaluation/metrics.py` defines them.

    Args:
        towers: Both networks.
        data: Training data, with the log that includes the watched span.
        watch: The users.
        config: See `TrainingConfig.list_length`.
        workers: Computes the lists.
    """
    if not len(watch):
        return UNKNOWN
    embeddings = towers.tensor(towers.embed_items(data.items, data.item_index, watch.start))
    # Histories of similar length go together, because a shorter one is padded to the longest of its batch.
    order = np.argsort(watch.ends - data.log.offsets[watch.users], kind="stable")
    parts = [order[first : first + _CHUNK] for first in range(0, len(watch), _CHUNK)]
    found = workers.map(lambda part: _part(towers, data, watch, embeddings, part, config.list_length), parts)
    figures = np.empty((2, len(watch)))
    figures[:, order] = np.concatenate(found, axis=1)
    recall, ndcg = figures.mean(axis=1).tolist()
    return ListQuality(recall, ndcg)


@torch.no_grad()
def _part(
    towers: TrainableTowers, data: TrainingData, watch: Watch, embeddings: Tensor, places: IndexArray, list_length: int
) -> npt.NDArray[np.float64]:
    """Recall and NDCG of each of the users at the given places [2, p]."""
    users, k = watch.users[places], min(list_length, watch.num_items)
    request = np.zeros((len(users), data.log.request.shape[1]), dtype=np.int32)
    inputs = user_inputs(data, users, watch.ends[places], np.full(len(users), watch.start), request)
    vectors = towers.user_vectors(inputs, embeddings[towers.tensor(inputs.rows)])
    scores = (vectors @ embeddings.T).cpu().numpy()
    scores[_pairs(watch.excluded, users, watch.num_items)] = -np.inf
    relevant = np.zeros(scores.shape, dtype=np.bool_)
    relevant[_pairs(watch.relevant, users, watch.num_items)] = True
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    best = np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1), axis=1)
    hits, wanted = np.take_along_axis(relevant, best, axis=1), relevant.sum(axis=1)
    discounts = 1.0 / np.log2(np.arange(k) + 2.0)
    ideal = np.cumsum(discounts)
    return np.stack([hits.sum(axis=1) / wanted, hits @ discounts / ideal[np.minimum(wanted, k) - 1]])


def known_before(log: PositiveLog, users: IntArray, cut: float) -> IndexArray:
    """Ends of the histories of users [w] in the log as of a cut."""
    return log.known_at(users, np.full(len(users), log.grid.cell_from(cut)))


def _keys(users: IntArray, rows: IntArray, num_items: int) -> IndexArray:
    keys: IndexArray = users.astype(np.int64) * num_items + rows
    return keys


def _pairs(keys: IndexArray, users: IntArray, num_items: int) -> tuple[IndexArray, npt.NDArray[np.int64]]:
    """The keys (user * m + row, sorted) of the given users, as (index into `users`, item row)."""
    starts = np.searchsorted(keys, users.astype(np.int64) * num_items)
    stops = np.searchsorted(keys, (users.astype(np.int64) + 1) * num_items)
    at, owner = ragged(starts, stops - starts)
    return owner, keys[at] % num_items
