"""Converts slates to rows of the impression log: the shown items, their order and their features.

Defines the columns of `<log>/impressions/` (contract 5). The server's log and the replay for a bundle's drift reference
both use `impressions_table`, so that they can be compared column by column.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from feature_repo.dataset.tables import TIMESTAMP
from feature_repo.features.feature_set import FeatureSet
from feature_repo.features.state import FloatArray
from inference.candidates.query import Slate
from inference.log.layout import IMPRESSIONS_SCHEMA
from inference.models.artifacts import Artifacts

FEATURE_PREFIX = "feature_"
PROBABILITY_PREFIX = "p_"


def impressions_schema(feature_set: FeatureSet) -> pa.Schema:
    """Columns of the impressions of one feature set, in order.

    `timestamp` is the query's time and `position` counts from 0. `country` and `device` are the values that the client
    sent, else null. Features and probabilities `p_<objective>` are null for items that were not ranked; of a ranked
    item NaN marks a missing feature. `score` is null if it is not finite.
    """
    probabilities = [pa.field(PROBABILITY_PREFIX + name, pa.float32()) for name in feature_set.objectives]
    features = [pa.field(FEATURE_PREFIX + name, pa.float32()) for name in feature_set.ranker_features]
    return pa.schema([*IMPRESSIONS_SCHEMA, *probabilities, *features])


def impressions_table(slates: Sequence[Slate], artifacts: Artifacts) -> pa.Table:
    """One row per shown item, in the order of the slates and of each slate's positions.

    Args:
        slates: Slates of a single release; empty slates give no rows.
        artifacts: Artifacts of the release, for item ids and feature names.

    Returns:
        A table of `impressions_schema`.
    """
    feature_set = artifacts.feature_set
    counts = np.array([len(slate.rows) for slate in slates], dtype=np.int64)
    owners = np.repeat(np.arange(len(slates)), counts)
    queries = [slate.query for slate in slates]
    times = np.round(np.array([query.time for query in queries], dtype=np.float64) * 1e6).astype(np.int64)
    starts = np.cumsum(counts) - counts
    rows = _joined([slate.rows for slate in slates], np.int32)
    scores = _joined([slate.scores for slate in slates], np.float32)
    columns: dict[str, pa.Array] = {
        "request_id": _repeated([query.request_id for query in queries], owners),
        "user_id": _repeated([query.user_id for query in queries], owners),
        "item_id": pa.array(artifacts.items.item_ids[rows], pa.string()),
        "timestamp": pa.array(times[owners]).cast(TIMESTAMP),
        "position": pa.array((np.arange(len(owners)) - starts[owners]).astype(np.int32)),
        "surface": _repeated([query.surface for query in queries], owners),
        "country": _repeated([query.country for query in queries], owners),
        "device": _repeated([query.device for query in queries], owners),
        "score": pa.array(scores, mask=~np.isfinite(scores)),
        "source": pa.array(list(chain.from_iterable(slate.sources for slate in slates)), pa.string()),
        "bundle_version": _repeated([slate.bundle_version for slate in slates], owners),
        "feature_hash": _repeated([feature_set.hash] * len(slates), owners),
    }
    for name in feature_set.objectives:
        probabilities = _joined([_probabilities(slate, name) for slate in slates], np.float32)
        columns[PROBABILITY_PREFIX + name] = pa.array(probabilities, mask=np.isnan(probabilities))
    features = _features(slates, len(feature_set.ranker_features))
    unranked = np.isnan(features).all(axis=0)  # a slate without features, or a row below the ranked candidates
    for name, values in zip(feature_set.ranker_features, features, strict=True):
        columns[FEATURE_PREFIX + name] = pa.array(values, mask=unranked)
    schema = impressions_schema(feature_set)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _repeated(values: Sequence[str | None], owners: npt.NDArray[np.int64]) -> pa.Array:
    """A value of each slate as a column of the slates' rows [n]."""
    return pa.array(values, pa.string()).take(pa.array(owners))


def _joined(parts: Sequence[npt.NDArray[Any]], kind: type[np.generic]) -> npt.NDArray[Any]:
    return np.concatenate([np.zeros(0, kind), *parts]).astype(kind, copy=False)


def _probabilities(slate: Slate, objective: str) -> FloatArray:
    """The slate's probabilities of an objective [count]; NaN without a prediction."""
    known = slate.probabilities.get(objective)
    return np.full(len(slate.rows), np.nan, dtype=np.float32) if known is None else known


def _features(slates: Sequence[Slate], num: int) -> FloatArray:
    """Features of all rows, each feature a contiguous line [num, n]; NaN for slates without features."""
    parts = [
        np.full((len(slate.rows), num), np.nan, np.float32) if slate.features is None else slate.features
        for slate in slates
    ]
    matrix = np.concatenate([np.zeros((0, num), np.float32), *parts])
    return np.ascontiguousarray(matrix.T)
