"""Chooses how many candidates of a query are ranked: the first of the retrieval order, the others follow in it.

Features and trees are the dearest part of a request, and their time grows with the number of candidates. The candidates
far down the retrieval order almost never reach the first page.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.ranking.judging import JudgedQueries
from inference.candidates.ragged import owners_from_offsets

DEPTHS = (200, 300, 400, 600)  # a list of the retrieval order that is shorter is ranked as a whole
PLACES = 100  # of the final order whose NDCG counts, several pages
TOLERATED_LOSS = 0.005  # of that NDCG


def choose_depth(
    judged: JudgedQueries, retrieval: npt.NDArray[np.floating], final: npt.NDArray[np.floating]
) -> int | None:
    """The smallest number of ranked candidates that loses at most `TOLERATED_LOSS` of the NDCG of a full ranking.

    Args:
        judged: All candidates of validation queries.
        retrieval: Score of each row in the retrieval order [n].
        final: Score of each row by the ranker [n].

    Returns:
        One of `DEPTHS`; None if each of them loses more, so that all candidates must be ranked.
    """
    if not len(judged):
        return None
    owners = owners_from_offsets(judged.offsets)
    place = np.empty(len(owners), dtype=np.int64)
    order = np.lexsort((-np.asarray(retrieval, dtype=np.float32), owners))
    place[order] = np.arange(len(order)) - judged.offsets[owners[order]]
    least = float(judged.ndcg(final, PLACES).mean()) * (1 - TOLERATED_LOSS)
    below = np.min(final, initial=0.0) - 1.0
    for depth in DEPTHS:
        cut = np.where(place < depth, final, below - place)
        if float(judged.ndcg(cut, PLACES).mean()) >= least:
            return depth
    return None
