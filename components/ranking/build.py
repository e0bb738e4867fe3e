"""Builds training rows for the ranker by asking the recommender as of each query's time.

Each group holds the candidates of the sources and the items that were shown or acted on. Histories end at the query;
the other state of users and items is that of the last cut before it. Towers and neighbours come from a cutoff that is
fitted on events before the first query. The number of rows is bounded: groups are sampled, and candidates without an
outcome are sampled evenly. Silent groups (without a liked item) keep only the shown items, because they have nothing to
compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.ranking.rows import RankingRows
from components.replay.groups import Groups
from components.replay.replay import Replay, ReplayedBatch
from inference.candidates.query import CandidateSet
from inference.candidates.ragged import contains, offsets_from_owners, ranks
from inference.flow.merge import with_rows
from inference.flow.retrieval import Retrieved
from inference.models.artifacts import Artifacts


@dataclass(frozen=True, slots=True)
class RowSampling:
    """Which candidates of a group become rows, in addition to its outcomes.

    Negatives are drawn evenly from all candidates. Suppose the sample kept the best candidates by retrieval and few of
    the rest. It would then keep every positive of the rest, and teach that a low retrieval rank is a good sign.

    Attributes:
        negatives: Number of candidates without an outcome per group with a liked item.
        seed: Seed of the sample.
    """

    negatives: int = 40
    seed: int = 0


def build_rows(groups: Groups, replay: Replay, sampling: RowSampling, *, what: str) -> RankingRows:
    """The rows of all groups.

    Args:
        groups: Groups in order of time, at least one.
        replay: Recommenders as of the cuts before the groups' queries.
        sampling: Which candidates become rows.
        what: Name of the work for the progress line.
    """
    return RankingRows.concatenate(
        [
            batch_rows(part, part.recommender.retrieve(part.batch), groups, sampling)
            for part in replay.batches(groups.queries, what)
        ]
    )


@dataclass(frozen=True, slots=True)
class _Outcomes:
    """Outcomes of the queries in a batch, by key = query * num_items + row; `places` are indices into the groups."""

    keys: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]

    @classmethod
    def of(cls, groups: Groups, chosen: npt.NDArray[np.int64], artifacts: Artifacts) -> _Outcomes:
        counts = np.diff(groups.offsets)[chosen]
        owners = np.repeat(np.arange(len(chosen)), counts)
        places = np.concatenate([np.arange(groups.offsets[i], groups.offsets[i + 1]) for i in chosen])
        keys = owners * len(artifacts.items) + artifacts.rows_of(groups.item_ids[places])
        order = np.argsort(keys)
        return cls(keys[order], places[order])


def batch_rows(part: ReplayedBatch, retrieved: Retrieved, groups: Groups, sampling: RowSampling) -> RankingRows:
    """The rows of a batch.

    Args:
        part: The batch.
        retrieved: Its candidates.
        groups: All groups of the replay.
        sampling: Which candidates become rows. The seed and the first query of the batch draw them, so that they do not
            depend on the batches before.
    """
    recommender, batch = part.recommender, part.batch
    outcomes = _Outcomes.of(groups, part.places, recommender.artifacts)
    num_items = len(recommender.artifacts.items)
    rng = np.random.default_rng((sampling.seed, int(part.places[0])))
    owners, rows = np.divmod(outcomes.keys, num_items)
    joined = with_rows(retrieved.candidates, owners.astype(np.int32), rows.astype(np.int32), num_items)
    # Serving never ranks items that the filters remove, so these items are not training rows.
    candidates = recommender.complete(Retrieved(recommender.filter(batch, joined), retrieved.found))
    keys = candidates.query_index * num_items + candidates.rows
    happened = contains(keys, outcomes.keys)
    liked = np.zeros(candidates.num_queries, dtype=np.bool_)
    liked[owners[groups.grades[outcomes.places] > 0]] = True
    sampled = candidates.keep(_sample(candidates, happened, liked, sampling, rng))
    keys = sampled.query_index * num_items + sampled.rows
    at = np.minimum(np.searchsorted(outcomes.keys, keys), len(outcomes.keys) - 1)
    hit = outcomes.keys[at] == keys
    place = outcomes.places[at]
    sizes = np.diff(sampled.offsets)
    return RankingRows(
        features=recommender.features(batch, sampled),
        grades=np.where(hit, groups.grades[place], 0).astype(np.int8),
        labels=np.where(hit[:, None], groups.labels[place], 0).astype(np.int8),
        brought=sampled.source_bits > 0,
        shown=hit & groups.shown[place],
        positions=np.where(hit, groups.positions[place], -1).astype(np.int32),
        outcomes=np.where(hit, place, -1),
        group_sizes=sizes[sizes > 0],
    )


def _sample(
    candidates: CandidateSet,
    happened: npt.NDArray[np.bool_],
    liked: npt.NDArray[np.bool_],
    sampling: RowSampling,
    rng: np.random.Generator,
) -> npt.NDArray[np.bool_]:
    """Mask of the sampled candidates [n]: outcomes, and an even sample of the others where `liked` [q] is true."""
    owners = candidates.query_index
    others = np.flatnonzero(~happened & liked[owners])
    drawn = others[np.lexsort((rng.random(len(others)), owners[others]))]
    offsets = offsets_from_owners(owners[drawn], candidates.num_queries)
    kept = happened.copy()
    kept[drawn[ranks(offsets) < sampling.negatives]] = True
    return kept
