"""Ranking rows of the judged queries, so that the served trees also learn from the validation span.

The validation span chooses the number of trees and the served order. Trees that never learn from it are a span older
than the models that they are served with. As many trees are therefore grown again on the rows of both spans.
"""

from __future__ import annotations

import numpy as np

from components.ranking.build import RowSampling
from components.ranking.judging import JudgedQueries
from components.ranking.rows import RankingRows
from inference.candidates.ragged import offsets_from_owners, owners_from_offsets, ranks


def judged_rows(judged: JudgedQueries, num_objectives: int, seed: int) -> RankingRows:
    """The relevant candidates of each query and an even sample of the others, as `build_rows` samples them.

    Args:
        judged: All candidates of validation queries.
        num_objectives: Number of objectives of the log.
        seed: Seed of the sample.

    Returns:
        Rows that a source returned, without labels and positions. Relevance has one grade, as in the evaluation.
    """
    owners = owners_from_offsets(judged.offsets)
    others = np.flatnonzero(~judged.relevant)
    random = np.random.default_rng(seed).random(len(others))
    drawn = others[np.lexsort((random, owners[others]))]
    kept = judged.relevant.copy()
    kept[drawn[ranks(offsets_from_owners(owners[drawn], len(judged))) < RowSampling().negatives]] = True
    rows = np.flatnonzero(kept)
    sizes = np.bincount(owners[rows], minlength=len(judged))
    return RankingRows(
        features=judged.features[rows],
        grades=judged.relevant[rows].astype(np.int8),
        labels=np.zeros((len(rows), num_objectives), dtype=np.int8),
        brought=np.ones(len(rows), dtype=np.bool_),
        shown=np.zeros(len(rows), dtype=np.bool_),
        positions=np.full(len(rows), -1, dtype=np.int32),
        outcomes=np.full(len(rows), -1, dtype=np.int64),
        group_sizes=sizes[sizes > 0],
    )
