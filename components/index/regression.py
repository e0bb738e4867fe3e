"""A linear model that predicts each item from the other items of a history, with a few weights for each item.

EASE (Steck 2019, "Embarrassingly shallow autoencoders"): ridge regression with a zero diagonal. Up to `DENSE_ITEMS`
items with events, one inverse of the items x items Gram matrix gives all weights (three float32 matrices, 300 MB).
Above that number the regression of each item is solved over its nearest items only, the form in which SLIM scales
(fsSLIM; Ning and Karypis 2011, "SLIM: Sparse linear methods for top-n recommender systems"). Its memory grows with the
pairs of items that users share: histories are shortened to their latest items until `MOST_PAIRS` bounds the pairs.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from components.index.tables import strongest
from components.index.transitions import visits_before
from components.replay.events import Events
from feature_repo.dataset.split import DAY
from feature_repo.features.state import FloatArray
from inference.candidates.ragged import offsets_from_owners, ranks
from inference.models.neighbours import Predictors

DENSE_ITEMS = 5_000
NEAREST = 100
MOST_PAIRS = 30_000_000  # entries of the Gram matrix of the sparse form, about 700 MB while it is sorted
LONGEST = 300  # latest distinct items of a user that count


class RegressionConfig(BaseModel):
    """Settings of the linear model.

    Attributes:
        num_weights: Maximum number of items that an item predicts; negative weights are dropped, which costs no recall.
        ridge: Added to the diagonal of the Gram matrix.
        half_life_days: Days in which an event loses half its weight, None for no decay.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_weights: int = 100
    ridge: float = 300.0
    half_life_days: float | None = None


def fit_regression(
    events: Events, num_items: int, as_of: float, config: RegressionConfig, most_items: int | None = None
) -> Predictors:
    """Weights from positive events before a time.

    Args:
        events: All positive events.
        num_items: Size m of the row map.
        as_of: Unix seconds; later events are ignored, and weights decay with the age at this time.
        config: See `RegressionConfig`.
        most_items: Only this number of the most frequent items have weights; None for all items.
    """
    half_life = config.half_life_days or np.inf
    met = _strengths(events, num_items, as_of, half_life)
    frequency = np.bincount(met.indices, minlength=num_items)
    kept = np.sort(np.argsort(-frequency, kind="stable")[:most_items])
    kept = kept[frequency[kept] > 0]
    gram = (met[:, kept].T @ met[:, kept]).tocsr()
    if len(kept) <= DENSE_ITEMS:
        solved = _first(item_weights(gram.toarray(), config.ridge), config.num_weights)
    else:
        solved = near_weights(gram, config.ridge)
    solved.sort_indices()
    best, _ = strongest(solved, solved.data, config.num_weights)
    counts = np.zeros(num_items, dtype=np.int64)
    counts[kept] = np.diff(best.indptr)
    offsets = np.concatenate(([0], np.cumsum(counts)))
    return Predictors(offsets, kept[best.indices].astype(np.int32), best.data, half_life_days=float(half_life))


def _strengths(events: Events, num_items: int, as_of: float, half_life: float) -> sparse.csr_matrix:
    """Users x items log2(1 + decayed number of events), of each user's latest distinct items alone."""
    users, rows, times = visits_before(events, as_of)
    weights = np.exp2((times - as_of) / (half_life * DAY))
    keys, place = np.unique(users.astype(np.int64) * num_items + rows, return_inverse=True)
    sums = np.bincount(place, weights=weights)
    latest = np.zeros(len(keys))
    np.maximum.at(latest, place, times)
    owner, row = np.divmod(keys, num_items)
    order = np.lexsort((row, -latest, owner))
    owner, row, sums = owner[order], row[order], sums[order]
    offsets = offsets_from_owners(owner, int(owner.max(initial=-1)) + 1)
    sizes, longest = np.diff(offsets), LONGEST
    while longest > 1 and (np.minimum(sizes, longest).astype(np.int64) ** 2).sum() > MOST_PAIRS:
        longest //= 2
    near = ranks(offsets) < longest
    values = np.log2(1.0 + sums[near]).astype(np.float32)
    return sparse.csr_matrix((values, (owner[near], row[near])), shape=(len(sizes), num_items))


def _first(weights: npt.NDArray[np.float32], num: int) -> sparse.csr_matrix:
    """The `num` largest positive weights of each row of a dense matrix."""
    if num >= weights.shape[1]:
        return sparse.csr_matrix(weights)
    columns = np.argpartition(-weights, num - 1, axis=1)[:, :num]
    values = np.take_along_axis(weights, columns, axis=1)
    indptr = np.arange(len(weights) + 1) * num
    return sparse.csr_matrix((values.ravel(), columns.ravel(), indptr), shape=weights.shape)


def item_weights(gram: FloatArray, ridge: float) -> npt.NDArray[np.float32]:
    """B = I - P / diag(P) with P = (G + ridge I)^-1, by Cholesky in float32 [m, m]; overwrites `gram`.

    Raises:
        ArithmeticError: The Gram matrix is not positive definite.
    """
    gram[np.diag_indices_from(gram)] += np.float32(ridge)
    with threadpool_limits(1, "blas"):  # next to other processes two threads took nine times as long
        factor, failed = linalg.lapack.spotrf(gram.T, lower=1, clean=1, overwrite_a=1)
        if failed:
            raise ArithmeticError(f"EASE's Gram matrix with ridge {ridge} is not positive definite.")
        inverse: npt.NDArray[np.float32] = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)[0].T
    diagonal = np.diag(inverse).copy()
    inverse += inverse.T  # the other triangle is zero
    np.fill_diagonal(inverse, 0.0)
    weights: npt.NDArray[np.float32] = np.divide(inverse, -diagonal, out=inverse)
    return weights


def near_weights(gram: sparse.csr_matrix, ridge: float, nearest: int = NEAREST) -> sparse.csr_matrix:
    """EASE's regression of each item on its nearest items alone, float32 CSR [m, m].

    Args:
        gram: Items x items, float32 CSR.
        ridge: Added to the diagonal.
        nearest: Number of items with the largest cosine that may have a weight.
    """
    gram.sort_indices()
    norms = np.sqrt(gram.diagonal())
    owner = np.repeat(np.arange(gram.shape[0]), np.diff(gram.indptr))
    cosine = gram.data / (norms[owner] * norms[gram.indices])
    cosine[owner == gram.indices] = 0.0
    near, _ = strongest(gram, cosine, nearest)
    del owner, cosine
    solved = np.zeros(len(near.data), dtype=np.float32)
    with threadpool_limits(1, "blas"):  # two threads for 100 x 100 numbers took eight times as long
        for item, (start, end) in enumerate(itertools.pairwise(near.indptr.tolist())):
            others = near.indices[start:end]
            if len(others):
                block = gram[others]
                square = block[:, others].toarray()
                square[np.diag_indices_from(square)] += ridge
                solved[start:end] = np.linalg.solve(square, block[:, [item]].toarray()[:, 0])
    # Row `item` holds the weights of the other items for it: the transpose is B.
    return sparse.csr_matrix((solved, near.indices, near.indptr), shape=gram.shape).T.tocsr()
