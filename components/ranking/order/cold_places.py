"""Chooses how many places of a feed belong to items without an event, on the validation span.

No measure of a list rewards these places: a model of clicks ranks an item without clicks low, and the first page never
shows it. So training gives them as many places below the first page as cost little. The price is recall over all
liked items, those without an event included.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.ranking.judging import DEPTH, JudgedQueries
from feature_repo.progress import say
from inference.candidates.ragged import owners_from_offsets, ranks
from inference.models.cold_places import ColdPlaces

EVERY = (4, 5, 6, 8, 10, 12, 16)  # tried in this order; the last is taken at any price
PRICE = 0.01  # share of Recall@`JUDGED_DEPTH` that the places may cost
JUDGED_DEPTH = 100


def choose_cold_places(judged: JudgedQueries, scores: npt.NDArray[np.floating]) -> ColdPlaces | None:
    """The largest share of places that costs at most `PRICE` of the recall.

    Args:
        judged: All candidates of validation queries.
        scores: Score of each candidate by the order that is served [n].

    Returns:
        The rule; None if no candidate without an event was liked.
    """
    if judged.cold is None or not (judged.cold & judged.relevant).any():
        return None
    best = _recall(judged, scores, None)
    for every in EVERY:
        places = ColdPlaces(after=DEPTH, every=every)
        reached = _recall(judged, scores, places)
        if reached >= (1 - PRICE) * best:
            break
    say(
        f"ranker: every {places.every}th place after {places.after} is for items without an event; Recall@"
        f"{JUDGED_DEPTH} of the validation queries {best:.4f} without these places, {reached:.4f} with them"
    )
    return places


def _recall(judged: JudgedQueries, scores: npt.NDArray[np.floating], places: ColdPlaces | None) -> float:
    """Mean share of the relevant items among the first `JUDGED_DEPTH`."""
    owners = owners_from_offsets(judged.offsets)
    given = np.where(np.isfinite(scores), scores, -np.inf).astype(np.float32)
    order = np.lexsort((-given, owners))
    if places is not None and judged.cold is not None:
        cold = judged.cold[order]
        order = order[places.order(judged.offsets, places.keys(judged.offsets, cold), cold)]
    hit = judged.relevant[order] & (ranks(judged.offsets) < JUDGED_DEPTH)
    return float((np.bincount(owners, weights=hit, minlength=len(judged)) / judged.num_relevant).mean())
