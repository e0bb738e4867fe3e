"""The ranker's rows from features as they were served, instead of features joined as of the past.

The log keeps what the ranker saw of every item it ordered. Rows made from it need no point-in-time join, hold what no
other table does (the length of a session, the item a user came from), and equal the joined rows of the same impressions
wherever serving is in step with training; a test holds the two against each other. Only what was shown is there, so
that nothing stands beside it that was not: the rows calibrate probabilities, and LambdaMART learns from a biased
choice. Refuses rows of another feature set, whose columns and codes mean other things; scores of sources are those of
the bundle that served, and may not be mixed with those of other towers.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ranking.rows import RankingRows
from components.replay.groups import Groups
from feature_repo.features.feature_set import FeatureSet
from inference.log.impressions import FEATURE_PREFIX

KEYS = ["user_id", "request_id", "item_id"]


def logged_rows(groups: Groups, impressions: pa.Table, feature_set: FeatureSet) -> RankingRows:
    """The rows of what was shown in groups that are requests of the log, by group and position.

    Args:
        groups: Requests and what became of each item, as `read_groups` has them from dataset and log.
        impressions: Of the log, see `read_impressions`; an item twice under one request id counts the first time.
        feature_set: The one asked for.

    Returns:
        Rows that the ranker ordered from this feature set; a group that has none is left out.
    """
    found = _served(impressions, feature_set).join(_outcomes(groups), KEYS, join_type="inner")
    found = found.sort_by([("group", "ascending"), ("position", "ascending")])
    place = found["outcome"].to_numpy()
    columns = [found[FEATURE_PREFIX + name].to_numpy() for name in feature_set.ranker_features]
    sizes = np.bincount(found["group"].to_numpy(), minlength=len(groups))
    return RankingRows(
        features=np.stack(columns, axis=1).astype(np.float32, copy=False),
        grades=groups.grades[place],
        labels=groups.labels[place],
        brought=np.ones(len(place), dtype=np.bool_),  # nothing else is ranked
        shown=groups.shown[place],
        positions=found["position"].to_numpy().astype(np.int32, copy=False),
        group_sizes=sizes[sizes > 0],
    )


def _served(impressions: pa.Table, feature_set: FeatureSet) -> pa.Table:
    """Ranked impressions of the feature set, each key once, with their position and features."""
    names = [FEATURE_PREFIX + name for name in feature_set.ranker_features]
    own = impressions.filter(pc.equal(impressions["feature_hash"], feature_set.hash))
    for name in names:
        if name not in own.column_names:  # a log of other feature sets alone
            own = own.append_column(name, pa.nulls(own.num_rows, pa.float32()))
    ranked = own.filter(pc.is_valid(own[names[0]])).sort_by("timestamp").combine_chunks()
    numbered = ranked.select(KEYS).append_column("row", pa.array(np.arange(ranked.num_rows)))
    first = numbered.group_by(KEYS).aggregate([("row", "min")])["row_min"]
    return ranked.take(first).select([*KEYS, "position", *names])


def _outcomes(groups: Groups) -> pa.Table:
    """Keys of all outcomes with their places and those of their groups."""
    owners = np.repeat(np.arange(len(groups)), np.diff(groups.offsets))
    by_group = {
        "user_id": pa.array([query.user_id for query in groups.queries], pa.string()).take(pa.array(owners)),
        "request_id": pa.array([query.request_id for query in groups.queries], pa.string()).take(pa.array(owners)),
    }
    item_ids = pa.array(groups.item_ids, pa.string())
    return pa.table({**by_group, "item_id": item_ids, "outcome": np.arange(len(owners)), "group": owners})
