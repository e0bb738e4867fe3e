"""Scores the impressions of the test span with the recommender's features and ranker.

Every request, session or day of the log is replayed at its first moment, with the catalogue of the last cut before it.
The ranker scores the items that were shown. The number of groups is bounded by a sample. No label is a feature.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.evaluation.impressions.metrics import Judged
from components.replay.cutoff import Cutoff
from components.replay.groups import Groups, read_groups
from components.replay.renewal import RenewalPolicy
from components.replay.replay import Replay, ReplayedBatch
from feature_repo.dataset.tables import PreparedTables
from inference.candidates.ragged import contains
from inference.feature_store.historical import HistoricalFeatures
from inference.flow.merge import with_rows
from inference.flow.retrieval import Retrieved
from inference.scorers.protocol import Ranker

MAX_GROUPS = 3_000  # a replayed request costs as much as an answered one; the standard error of AUC is .004


def score_impressions(
    tables: PreparedTables, cutoff: Cutoff, reader: HistoricalFeatures, ranker: Ranker, *, seed: int = 0
) -> Judged | None:
    """Scores the impressions of the test span.

    Args:
        tables: Clean prepared tables.
        cutoff: Cutoff `test`.
        reader: Reads the features of the same run.
        ranker: The ranker to evaluate.
        seed: Seed of the sample of groups.

    Returns:
        An entry per impression; None if the span has no impressions.
    """
    split = tables.split
    if not tables.num_rows["impressions"]:
        return None
    # `stamp` puts the exclusive end a microsecond after the end of the log, so that the last event is included.
    end = split.stamp(split.log_end)
    groups = read_groups(tables, split.test_start, end, limit=MAX_GROUPS, seed=seed)
    if not groups.shown.any():
        return None
    names = {name: code for code, name in enumerate(sorted({query.user_id for query in groups.queries}))}
    replay = Replay.of(tables, cutoff, reader, split.cuts_within(split.test_start, end), RenewalPolicy())
    parts = [_score(part, groups, ranker, names, tables) for part in replay.batches(groups.queries, "impressions")]
    return Judged(*(np.concatenate(columns) for columns in zip(*map(_columns, parts), strict=True)))


def _score(
    part: ReplayedBatch, groups: Groups, ranker: Ranker, names: dict[str, int], tables: PreparedTables
) -> Judged:
    """The impressions of the groups in a batch."""
    recommender, batch, mine = part.recommender, part.batch, part.places
    num_items = len(recommender.artifacts.items)
    owners = np.repeat(np.arange(len(mine)), np.diff(groups.offsets)[mine])
    places = np.concatenate([np.arange(groups.offsets[i], groups.offsets[i + 1]) for i in mine])
    rows = recommender.artifacts.rows_of(groups.item_ids[places])
    seen = groups.shown[places] & (rows >= 0)
    owners, places, rows = owners[seen], places[seen], rows[seen]
    order = np.argsort(owners * num_items + rows)
    owners, places, rows = owners[order], places[order], rows[order]
    keys = owners * num_items + rows
    retrieved = recommender.retrieve(batch)
    joined = with_rows(retrieved.candidates, owners, rows, num_items)
    completed = recommender.complete(Retrieved(joined, retrieved.found))
    asked = completed.keep(contains(completed.query_index * num_items + completed.rows, keys))
    score, probabilities = ranker.score(recommender.features(batch, asked))
    at = np.searchsorted(keys, asked.query_index * num_items + asked.rows)
    users = np.array([names[query.user_id] for query in batch.queries], dtype=np.int64)[asked.query_index]
    return Judged(
        users=users,
        slates=mine[asked.query_index] if tables.has_slates else users,
        grades=groups.grades[places[at]],
        labels=groups.labels[places[at]],
        scores=np.asarray(score, dtype=np.float64),
        probabilities=np.stack([probabilities[name] for name in tables.objectives], axis=1).astype(np.float64),
        positions=groups.positions[places[at]],
        propensities=groups.propensities[places[at]],
    )


def _columns(judged: Judged) -> tuple[npt.NDArray[np.generic], ...]:
    return tuple(getattr(judged, name) for name in Judged.__slots__)
