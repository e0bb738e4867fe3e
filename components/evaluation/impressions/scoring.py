"""Scores the impressions of the test span with the recommender's own features and ranker.

Every request, session or day of the log is asked again at its first moment, with the catalogue of the last cut before
it, and the ranker scores what was shown. Groups are bounded by a sample; no label is a feature.
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

MAX_GROUPS = 6_000


def score_impressions(
    tables: PreparedTables, cutoff: Cutoff, reader: HistoricalFeatures, ranker: Ranker, *, seed: int = 0
) -> Judged | None:
    """Score what was shown in the test span.

    Args:
        tables: Clean prepared tables.
        cutoff: Cutoff `test`.
        reader: Of the same features.
        ranker: The model under test.
        seed: Of the sample of groups.

    Returns:
        One entry an impression, None where the span has none.
    """
    split = tables.split
    if not tables.num_rows["impressions"]:
        return None
    # The bound leaves the log's very last moment in: spans end with it.
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
    """The impressions of a batch's groups."""
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
        labels=groups.labels[places[at], 0],
        scores=np.asarray(score, dtype=np.float64),
        probabilities=np.asarray(probabilities[tables.objectives[0]], dtype=np.float64),
    )


def _columns(judged: Judged) -> tuple[npt.NDArray[np.generic], ...]:
    return judged.users, judged.slates, judged.grades, judged.labels, judged.scores, judged.probabilities
