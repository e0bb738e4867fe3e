"""Ranking metrics over whole lists, vectorised over queries, without sampled negatives.

Lists are `rows` int32 [q, k], best first, padded with -1. Every per-query function returns float64 [q]; a query with an
empty list scores 0. Formulas (contract 2): Recall@k = hits / relevant; NDCG@k with gain 1 and discount
1 / log2(rank + 2), over the ideal DCG of min(k, relevant) hits; AP@k over min(k, relevant).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from components.evaluation.protocols.log import Ragged
from feature_repo.features.state import IntArray

FloatArray64 = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
LIST_LENGTH = 300


def hits(rows: IntArray, relevant: Ragged) -> BoolArray:
    """Whether each listed item is relevant [q, k]."""
    return relevant.contains(rows)


def recall(hit: BoolArray, num_relevant: npt.NDArray[np.int64], k: int) -> FloatArray64:
    """Hits among the first k over all relevant items [q]."""
    found: FloatArray64 = hit[:, :k].sum(axis=1) / np.maximum(num_relevant, 1)
    return found


def hit_rate(hit: BoolArray, k: int) -> FloatArray64:
    """1 if any of the first k items is relevant, else 0 [q]."""
    return np.where(hit[:, :k].any(axis=1), 1.0, 0.0)


def reciprocal_rank(hit: BoolArray, k: int) -> FloatArray64:
    """1 / (position of the first hit among the first k, from 1), 0 without a hit [q]."""
    first = hit[:, :k].argmax(axis=1)
    return np.where(hit[:, :k].any(axis=1), 1.0 / (first + 1), 0.0)


def ndcg(hit: BoolArray, num_relevant: npt.NDArray[np.int64], k: int) -> FloatArray64:
    """Normalised discounted cumulative gain at k [q] (Jarvelin and Kekalainen 2002, binary gains)."""
    discounts = 1.0 / np.log2(np.arange(k) + 2.0)
    gained = hit[:, :k] @ discounts[: hit.shape[1]]
    ideal = np.concatenate(([0.0], np.cumsum(discounts)))[np.minimum(num_relevant, k)]
    share: FloatArray64 = np.divide(gained, np.where(ideal > 0, ideal, 1.0))
    return share


def ndcg_shares(rows: IntArray, relevant: Ragged, k: int) -> FloatArray64:
    """The part of its query's NDCG at k that each relevant item contributes [n]; the parts of a query add up to it."""
    place = relevant.places(rows[:, :k])
    query, rank = np.nonzero(place >= 0)
    discounts = 1.0 / np.log2(np.arange(k) + 2.0)
    ideal = np.cumsum(discounts)[np.minimum(relevant.counts[query], k) - 1]
    shares = np.zeros(len(relevant.rows))
    shares[place[query, rank]] = discounts[rank] / ideal
    return shares


def average_precision(hit: BoolArray, num_relevant: npt.NDArray[np.int64], k: int) -> FloatArray64:
    """Sum of the precision at the position of each hit, over min(k, relevant) [q]."""
    top = hit[:, :k]
    precision = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    mean: FloatArray64 = (precision * top).sum(axis=1) / np.clip(num_relevant, 1, k)
    return mean


def coverage(rows: IntArray, num_items: int, k: int = 10) -> float:
    """Share of the catalogue that appears in the first k of any list."""
    top = rows[:, :k]
    return len(np.unique(top[top >= 0])) / max(num_items, 1)


def novelty(rows: IntArray, num_users_by_item: npt.NDArray[np.int64], k: int = 10) -> float:
    """Mean self-information in bits of the first k: -log2 of the item's smoothed share of all (user, item) pairs.

    Zhou et al. 2010, with Laplace smoothing, so that the value of an item without users stays finite.
    """
    top = rows[:, :k]
    if not (top >= 0).any():
        return 0.0
    share = (num_users_by_item + 1) / (num_users_by_item.sum() + len(num_users_by_item))
    return float(-np.log2(share[top[top >= 0]]).mean())


def gini(rows: IntArray, num_items: int, k: int = 10) -> float:
    """Gini coefficient of the items' frequencies in the first k; 0 for equal frequencies, 1 for a single item."""
    top = rows[:, :k]
    shown = np.sort(np.bincount(top[top >= 0], minlength=num_items)).astype(np.float64)
    if shown.sum() == 0:
        return 0.0
    places = np.arange(1, num_items + 1)
    return float((2 * places - num_items - 1) @ shown / (num_items * shown.sum()))


def category_hit_rate(
    rows: IntArray, relevant: Ragged, categories: npt.NDArray[np.object_], k: int = 10, most: int = 20
) -> dict[str, dict[str, float]]:
    """Hit rate by category: the share of users who find a relevant item of the category in the first k.

    Only users with a relevant item of the category count.

    Args:
        rows: Lists [q, k'].
        relevant: Relevant items of each query.
        categories: Category of each item row [m], "" if unknown (such items are ignored).
        k: Number of positions that count.
        most: Number of categories to report; the categories with the most users are chosen.
    """
    names, codes = np.unique(categories.astype(str), return_inverse=True)
    wanted = np.unique(np.stack([codes[relevant.rows], relevant.owners]), axis=1)
    hit = hits(rows[:, :k], relevant)
    query, place = np.nonzero(hit)
    found = np.unique(np.stack([codes[rows[query, place]], query]), axis=1)
    num_wanted = np.bincount(wanted[0], minlength=len(names))
    num_found = np.bincount(found[0], minlength=len(names))
    order = [c for c in np.argsort(-num_wanted, kind="stable") if names[c] and num_wanted[c]][:most]
    return {str(names[c]): {"users": int(num_wanted[c]), f"hr@{k}": float(num_found[c] / num_wanted[c])} for c in order}


def per_query(rows: IntArray, relevant: Ragged) -> dict[str, FloatArray64]:
    """All per-query metrics, name -> [q]."""
    hit = hits(rows, relevant)
    counts = relevant.counts
    return {
        "hr@10": hit_rate(hit, 10),
        "ndcg@10": ndcg(hit, counts, 10),
        "ndcg@20": ndcg(hit, counts, 20),
        "map@10": average_precision(hit, counts, 10),
        "recall@20": recall(hit, counts, 20),
        "recall@100": recall(hit, counts, 100),
        "recall@300": recall(hit, counts, 300),
        "mrr@10": reciprocal_rank(hit, 10),
    }


def summary(values: Mapping[str, FloatArray64], rows: IntArray, num_items: int) -> dict[str, float]:
    """Means over queries and coverage@10; all values are 0 without queries."""
    means = {name: float(column.mean()) if len(column) else 0.0 for name, column in values.items()}
    return means | {"coverage@10": coverage(rows, num_items)}
