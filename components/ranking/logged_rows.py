"""Replaces features of training rows that are joined as of the past with the features that were served.

The served log holds the ranker's input for every item that the ranker ordered. Logged and joined features are equal
where serving and training agree. Where they differ (a late refresh, the length of a session), the logged ones are
right. Only the heads learn from logged features: the log holds shown items only, LambdaMART also needs candidates that
were not shown, and all its rows must have the same kind of features. Rows of another feature set have other columns
and codes and are left out. Source scores and ranks stay those of the replay, because logged ones belong to the towers
of the bundle that was served.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ranking.rows import RankingRows
from components.replay.groups import Groups
from feature_repo.features.feature_set import FeatureSet
from inference.log.impressions import FEATURE_PREFIX
from inference.log.reader import read_impressions

KEYS = ["user_id", "request_id", "item_id"]
MARGIN = 1.0  # seconds around the first and the last query, because times are rounded


def read_served(log: str, groups: Groups, feature_set: FeatureSet) -> pa.Table:
    """Ranked impressions of the groups' requests, each key once; a repeated request id counts at its first use.

    Args:
        log: Directory or s3:// URL of a served log.
        groups: Groups in order of time, at least one.
        feature_set: Impressions of other feature sets are left out.

    Returns:
        The columns `KEYS` and a column `feature_<name>` for each ranker feature.

    Raises:
        DatasetError: A part of the log cannot be read.
        StorageError: A remote log cannot be reached.
    """
    features = [FEATURE_PREFIX + name for name in feature_set.ranker_features]
    requests = pa.array([query.request_id for query in groups.queries], pa.string())

    def keep(part: pa.Table) -> pa.Table:
        wanted = pc.and_(
            pc.equal(part["feature_hash"], feature_set.hash), pc.is_in(part["request_id"], value_set=requests)
        )
        return part.filter(pc.and_(wanted, pc.is_valid(part[features[0]])))  # null for rows that were not ranked

    start, end = groups.queries[0].time - MARGIN, groups.queries[-1].time + MARGIN
    found = read_impressions(log, start, end, [*KEYS, "timestamp", "feature_hash", *features], keep)
    numbered = found.select(KEYS).append_column("row", pa.array(np.arange(found.num_rows)))
    first = numbered.group_by(KEYS).aggregate([("row", "min")])["row_min"]
    return found.take(first).select([*KEYS, *features])


def with_served(
    rows: RankingRows, groups: Groups, served: pa.Table, feature_set: FeatureSet
) -> tuple[RankingRows, int]:
    """The rows, with served features in the shown rows that have them.

    Args:
        rows: Rows of the groups, n in total.
        groups: The groups that `rows` were built from.
        served: Result of `read_served` for these groups.
        feature_set: Names the columns.

    Returns:
        n rows in the same order, and the number of rows with served features.
    """
    numbered = served.select(KEYS).append_column("served", pa.array(np.arange(served.num_rows)))
    joined = _keys(groups).join(numbered, KEYS, join_type="inner")
    served_of = np.full(len(groups.item_ids), -1, dtype=np.int64)
    served_of[joined["outcome"].to_numpy()] = joined["served"].to_numpy()
    hit = np.flatnonzero(rows.shown)
    hit = hit[served_of[rows.outcomes[hit]] >= 0]
    places = pa.array(served_of[rows.outcomes[hit]])
    features = rows.features.copy()
    sources = {f"{kind}_{name}" for kind in ("score", "rank") for name in feature_set.sources}
    for column, name in enumerate(feature_set.ranker_features):
        if name not in sources:
            features[hit, column] = served[FEATURE_PREFIX + name].take(places).to_numpy()
    return replace(rows, features=features), len(hit)


def _keys(groups: Groups) -> pa.Table:
    """Keys of all outcomes with their indices in the groups."""
    owners = pa.array(np.repeat(np.arange(len(groups)), np.diff(groups.offsets)))
    of_groups = {
        "user_id": pa.array([query.user_id for query in groups.queries], pa.string()).take(owners),
        "request_id": pa.array([query.request_id for query in groups.queries], pa.string()).take(owners),
    }
    item_ids = pa.array(groups.item_ids, pa.string())
    return pa.table({**of_groups, "item_id": item_ids, "outcome": np.arange(len(item_ids))})
