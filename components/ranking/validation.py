"""Training rows and judged queries of the same groups, from one walk.

The groups of leave-one-out calibrate the probabilities and judge the order. Their candidates are retrieved once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from components.ranking.build import RowSampling, batch_rows
from components.ranking.judging import JudgedQueries, draw_liked, judged_batch
from components.ranking.rows import RankingRows
from components.replay.groups import Groups
from components.replay.replay import Replay


def build_and_judge(
    groups: Groups, replay: Replay, sampling: RowSampling, *, limit: int, what: str
) -> tuple[RankingRows, JudgedQueries]:
    """The rows of `build_rows` and the queries of `judge_groups`.

    Args:
        groups: Groups in order of time, at least one.
        replay: Recommenders as of the cuts before the groups' queries.
        sampling: Which candidates become rows; its seed also selects the judged groups.
        limit: Maximum number of judged groups, see `most_judged`.
        what: Name of the work for the progress line.
    """
    is_drawn = np.zeros(len(groups), dtype=np.bool_)
    is_drawn[draw_liked(groups, limit, sampling.seed)] = True
    drawn = replace(groups, grades=np.where(np.repeat(is_drawn, np.diff(groups.offsets)), groups.grades, 0))
    rows, judged = [], []
    for part in replay.batches(groups.queries, what):
        retrieved = part.recommender.retrieve(part.batch)
        rows.append(batch_rows(part, retrieved, groups, sampling))
        judged.append(judged_batch(part, retrieved, drawn))
    return RankingRows.concatenate(rows), JudgedQueries.concatenate(judged)
