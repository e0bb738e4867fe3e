"""Features of a query, and the ranker's matrix: numpy over columns, one implementation for training rows and serving.

The groups in `groups/requests` and `groups/cross` compute the columns; this module puts them in the order of the
feature set and assembles the ranker's matrix. Ages are computed at the time of the query, because ages in a snapshot
would be frozen at its cut. The module contains no ids, stores and frameworks. It does no Python work per candidate; per
query it only reads the scalars of the query.

Candidates of q queries are ragged: candidate j has item row `rows[j]` and belongs to query `query_index[j]`, which is
also the index of its user in `UserColumns`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from feature_repo.features.ages import ITEM_AGE, days_between
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.groups.cross import CROSS_GROUPS
from feature_repo.features.groups.cross_group import Columns, IndexArray, Pairs
from feature_repo.features.groups.request_group import RequestContext
from feature_repo.features.groups.requests import REQUEST_GROUPS
from feature_repo.features.groups.requests.texts import REQUEST_TEXTS
from feature_repo.features.state import FloatArray, IntArray, ItemColumns, OffsetArray, UserColumns


class Candidates(Protocol):
    """Attributes of a candidate set that the features read (`inference.candidates.query.CandidateSet` has them)."""

    @property
    def offsets(self) -> OffsetArray: ...
    @property
    def rows(self) -> IntArray: ...
    @property
    def source_bits(self) -> npt.NDArray[np.uint32]: ...
    @property
    def source_scores(self) -> FloatArray: ...
    @property
    def source_ranks(self) -> FloatArray: ...
    @property
    def score(self) -> FloatArray: ...


def assemble(
    queries: Sequence[RequestContext],
    users: UserColumns,
    items: ItemColumns,
    candidates: Candidates,
    feature_set: FeatureSet,
) -> FloatArray:
    """The ranker's matrix.

    Args:
        queries: q queries.
        users: State of the users of the queries [q].
        items: The catalogue [m].
        candidates: n candidates of the q queries.
        feature_set: Names the columns and their order (`ranker_features`).

    Returns:
        [n, F] float32; NaN is missing, codes are whole numbers.
    """
    rows = candidates.rows
    query_index = np.repeat(np.arange(len(queries)), np.diff(candidates.offsets))
    now = np.array([query.time for query in queries], dtype=np.float64)[query_index]
    out = np.empty((len(rows), len(feature_set.ranker_features)), dtype=np.float32)
    end = 0

    def place(block: npt.NDArray[np.float32] | npt.NDArray[np.int32]) -> None:
        nonlocal end
        start, end = end, end + block.shape[1]
        out[:, start:end] = block

    place(items.numeric[rows])
    if ITEM_AGE in feature_set.item_ages:
        ages = days_between(items.created_at[rows], now)
        out[:, feature_set.item_numeric.index(ITEM_AGE)] = np.maximum(ages, 0.0)
    place(items.categorical[rows])
    place(users.numeric[query_index])
    place(users.categorical[query_index])
    place(request_features(queries, users.country, feature_set)[query_index])
    anchors, wanted = anchor_rows(queries, items), frozenset(feature_set.cross_numeric)
    place(cross_features(Pairs(now, users, items, query_index, rows, anchors, feature_set, wanted)))
    place(candidates.source_scores)
    place(candidates.source_ranks)
    return out


def request_features(
    queries: Sequence[RequestContext], user_countries: npt.NDArray[np.object_], feature_set: FeatureSet
) -> FloatArray:
    """Features of the request alone, in `request_numeric` then `request_categorical` order.

    Hours and weekdays are UTC. A query without a country gets the country of its user.

    Args:
        queries: q queries.
        user_countries: Country of each query's user, "" where unknown [q].
        feature_set: Names the columns.

    Returns:
        [q, len(request_numeric) + len(request_categorical)].
    """
    columns: Columns = {}
    for group in REQUEST_GROUPS:
        columns |= group.compute(queries)
    for name in feature_set.request_categorical:
        codes, text_of = feature_set.code_of[f"request.{name}"], REQUEST_TEXTS[name]
        texts = [text_of(query, country) for query, country in zip(queries, user_countries, strict=True)]
        columns[name] = np.array([codes.get(text or "", 0) for text in texts], dtype=np.float64)
    return _stacked(columns, (*feature_set.request_numeric, *feature_set.request_categorical), len(queries))


def cross_features(pairs: Pairs) -> FloatArray:
    """Features of user and item together, in `cross_numeric` order [n, len(cross_numeric)]; NaN is missing."""
    columns: Columns = {}
    for group in CROSS_GROUPS:
        columns |= group.compute(pairs)
    return _stacked(columns, pairs.feature_set.cross_numeric, len(pairs))


def anchor_rows(queries: Sequence[RequestContext], items: ItemColumns) -> IndexArray:
    """Row of the item that each query starts from (its seed, else the last viewed item) [q]; -1 if none or unknown."""
    found = np.full(len(queries), -1, dtype=np.int64)
    named = [(place, query.item_id or query.last_item_id) for place, query in enumerate(queries)]
    places = [place for place, item_id in named if item_id]
    if places and len(items):
        ids = np.array([item_id for _, item_id in named if item_id], dtype=object)
        rows = np.minimum(np.searchsorted(items.item_ids, ids), len(items) - 1)
        found[places] = np.where(items.item_ids[rows] == ids, rows, -1)
    return found


def _stacked(columns: Columns, names: Sequence[str], length: int) -> FloatArray:
    """Columns by name as a matrix [length, len(names)], in the order of the names."""
    out = np.empty((length, len(names)), dtype=np.float32)
    for place, name in enumerate(names):
        out[:, place] = columns[name]
    return out
