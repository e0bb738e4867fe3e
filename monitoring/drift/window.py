"""The rows of the impression log that a bundle's reference can be compared with.

Owns what of a window counts: slates that this very bundle ranked. Others are counted by reason, never compared: another
bundle has other scores, and what was not ranked has no features. A long window is bounded by drawing whole requests.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.split import DAY
from feature_repo.tables import label_column
from inference.bundle import Bundle
from inference.log.impressions import FEATURE_PREFIX, impressions_schema
from inference.log.reader import read_impressions, read_interactions
from inference.reference import ranked_rows

MOST_REQUESTS = 2_500  # 50,000 rows; more tell PSI no better
SLICE_SECONDS = 3600.0  # read at a time

Labels = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Window:
    """What was served in a window.

    Attributes:
        shown: Ranked rows of the bundle, of at most `MOST_REQUESTS` requests, with the columns of the impression log.
        labels: Label column -> 0/1 of each of these rows, or why there are none.
        num_left_out: Rows that are not compared, by reason; drawn ones are not among them.
    """

    shown: pa.Table
    labels: Labels | str
    num_left_out: dict[str, int]

    @property
    def num_requests(self) -> int:
        """Requests among the rows."""
        return len(pc.unique(self.shown["request_id"]))


def read_window(
    bundle: Bundle, log: str, start: float, end: float, objectives: dict[str, tuple[str, ...]], seed: int
) -> Window:
    """Reads a window.

    Args:
        bundle: The bundle whose slates count.
        log: The log's directory or URL.
        start: Unix seconds; start < timestamp <= end.
        end: Unix seconds.
        objectives: Objective -> event types that fulfil it.
        seed: Of the draw of requests.

    Raises:
        DatasetError: A part of the log cannot be read.
        StorageError: The log cannot be reached.
    """
    first = FEATURE_PREFIX + bundle.feature_set.ranker_features[0]
    keys = read_impressions(log, start, end, ["request_id", "timestamp", "bundle_version", "feature_hash", first])
    own = pc.equal(keys["bundle_version"], bundle.version)
    same_features = pc.equal(keys["feature_hash"], bundle.feature_set.hash)
    ranked = pc.and_(pc.and_(own, same_features), pc.is_valid(keys[first]))
    reasons = np.select(
        [_mask(ranked), ~_mask(same_features), ~_mask(own)],
        ["", "served with another feature set", "served by another bundle"],
        "not ranked: similar items, unknown users or a degraded answer",
    )
    left_out = Counter(reason for reason in reasons.tolist() if reason)
    chosen = keys.filter(ranked)
    requests = pc.unique(chosen["request_id"]).sort()
    if len(requests) > MOST_REQUESTS:
        drawn = np.random.default_rng(seed).choice(len(requests), MOST_REQUESTS, replace=False)
        requests = requests.take(pa.array(np.sort(drawn)))
    shown = _rows(bundle, log, chosen["timestamp"], requests)
    return Window(shown, _labels(log, shown, start, end, objectives), dict(left_out.most_common()))


def _rows(bundle: Bundle, log: str, times: pa.ChunkedArray, requests: pa.Array) -> pa.Table:
    """All columns of the requests' rows, an hour at a time: what is not drawn is never held together."""
    moments = pc.cast(times, pa.int64()).to_numpy() / 1e6
    schema = impressions_schema(bundle.feature_set)
    parts = [schema.empty_table()]
    for hour in np.unique(np.ceil(moments / SLICE_SECONDS)).tolist():  # rows of an hour lie in (hour - 1, hour]
        part = read_impressions(log, (hour - 1) * SLICE_SECONDS, hour * SLICE_SECONDS, schema.names)
        mine = pc.and_(pc.equal(part["bundle_version"], bundle.version), pc.is_in(part["request_id"], requests))
        parts.append(ranked_rows(part.filter(mine)))
    return pa.concat_tables(parts, promote_options="default")


def _labels(
    log: str, shown: pa.Table, start: float, end: float, objectives: dict[str, tuple[str, ...]]
) -> Labels | str:
    """What the shown rows led to, up to a day after the window."""
    events = read_interactions(log, start, end + DAY, ["request_id", "item_id", "event_type"])
    events = events.filter(pc.is_in(events["request_id"], pc.unique(shown["request_id"])))
    if not events.num_rows:
        return "no events were reported for these requests"
    pairs = list(zip(shown["request_id"].to_pylist(), shown["item_id"].to_pylist(), strict=True))
    labels = {}
    for objective, types in objectives.items():
        done = events.filter(pc.is_in(events["event_type"], pa.array(types, pa.string())))
        happened = set(zip(done["request_id"].to_pylist(), done["item_id"].to_pylist(), strict=True))
        labels[label_column(objective)] = np.array([pair in happened for pair in pairs], dtype=np.float64)
    return labels


def _mask(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=np.bool_)
