"""Features of a query, and the ranker's matrix: numpy over columns, one implementation for training rows and serving.

Owns every feature that depends on the query alone (`cross_features.py` has those of user and item) and the assembly of
the ranker's matrix. Ages are computed from times at the query's own time: a snapshot that stored ages would freeze them
at its cut. Refuses ids, stores and frameworks; there is no Python work per candidate, and per query only the reading of
the query's scalars.

Candidates of q queries are ragged: candidate j has item row `rows[j]` and belongs to query `query_index[j]`, which is
also the place of its user in `UserColumns`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from feature_repo.dataset.split import DAY
from feature_repo.features.ages import days_between
from feature_repo.features.cross_features import IndexArray, cross_features, stacked
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import FloatArray, IntArray, ItemColumns, OffsetArray, TimeArray, UserColumns


class RequestContext(Protocol):
    """What the features read of a query (`inference.candidates.query.Query` is one)."""

    @property
    def time(self) -> float: ...
    @property
    def surface(self) -> str: ...
    @property
    def country(self) -> str | None: ...
    @property
    def device(self) -> str | None: ...
    @property
    def item_id(self) -> str | None: ...
    @property
    def last_item_id(self) -> str | None: ...
    @property
    def session_length(self) -> int | None: ...


class Candidates(Protocol):
    """What the features read of a candidate set (`inference.candidates.query.CandidateSet` is one)."""

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
        users: Their users' state [q].
        items: The catalogue [m].
        candidates: n candidates of the q queries.
        feature_set: Names the columns and their order (`ranker_features`).

    Returns:
        [n, F] float32; NaN is missing, codes are whole numbers.
    """
    rows = candidates.rows
    query_index = np.repeat(np.arange(len(queries)), np.diff(candidates.offsets))
    times = np.array([query.time for query in queries], dtype=np.float64)
    out = np.empty((len(rows), len(feature_set.ranker_features)), dtype=np.float32)
    end = 0

    def place(block: npt.NDArray[np.float32] | npt.NDArray[np.int32]) -> None:
        nonlocal end
        start, end = end, end + block.shape[1]
        out[:, start:end] = block

    place(items.numeric[rows])
    if "age_days" in feature_set.item_numeric:
        ages = days_between(items.created_at[rows], times[query_index])
        out[:, feature_set.item_numeric.index("age_days")] = np.maximum(ages, 0.0)
    place(items.categorical[rows])
    place(users.numeric[query_index])
    place(users.categorical[query_index])
    place(request_features(queries, users.country, feature_set)[query_index])
    place(cross_features(times, users, items, query_index, rows, anchor_rows(queries, items), feature_set))
    place(candidates.source_scores)
    place(candidates.source_ranks)
    return out


def request_features(
    queries: Sequence[RequestContext], user_countries: npt.NDArray[np.object_], feature_set: FeatureSet
) -> FloatArray:
    """Features of the request alone, in `request_numeric` then `request_categorical` order.

    Hours and weekdays are UTC. A query that names no country has its user's.

    Args:
        queries: q queries.
        user_countries: Country of each query's user, "" where unknown [q].
        feature_set: Names the columns.

    Returns:
        [q, len(request_numeric) + len(request_categorical)].
    """
    times = np.array([query.time for query in queries], dtype=np.float64)
    lengths = [np.nan if query.session_length is None else query.session_length for query in queries]
    columns: dict[str, npt.NDArray[np.float64]] = {
        **clock_features(times),
        "session_length": np.array(lengths, dtype=np.float64),
    }
    texts: Mapping[str, list[str | None]] = {
        "device": [query.device for query in queries],
        "country": [query.country or country for query, country in zip(queries, user_countries, strict=True)],
        "surface": [query.surface for query in queries],
    }
    for name in feature_set.request_categorical:
        codes = feature_set.code_of[f"request.{name}"]
        columns[name] = np.array([codes.get(text or "", 0) for text in texts[name]], dtype=np.float64)
    return stacked(columns, (*feature_set.request_numeric, *feature_set.request_categorical), len(queries))


def clock_features(times: TimeArray) -> dict[str, npt.NDArray[np.float64]]:
    """Hour and weekday (UTC) of unix seconds [n] as sine and cosine, by name."""
    hour = (times % DAY) / DAY * (2 * np.pi)
    weekday = ((times // DAY + 3) % 7) / 7 * (2 * np.pi)  # 1970-01-01 was a Thursday, Monday is 0
    return {
        "hour_sin": np.sin(hour),
        "hour_cos": np.cos(hour),
        "weekday_sin": np.sin(weekday),
        "weekday_cos": np.cos(weekday),
    }


def anchor_rows(queries: Sequence[RequestContext], items: ItemColumns) -> IndexArray:
    """Row of the item each query starts from (its seed, else the last item viewed) [q]; -1 for none or unknown."""
    found = np.full(len(queries), -1, dtype=np.int64)
    named = [(place, query.item_id or query.last_item_id) for place, query in enumerate(queries)]
    places = [place for place, item_id in named if item_id]
    if places and len(items):
        ids = np.array([item_id for _, item_id in named if item_id], dtype=object)
        rows = np.minimum(np.searchsorted(items.item_ids, ids), len(items) - 1)
        found[places] = np.where(items.item_ids[rows] == ids, rows, -1)
    return found
