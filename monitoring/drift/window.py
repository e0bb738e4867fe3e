"""Selects the rows of the impression log that are compared with a bundle's reference.

Only slates that this bundle ranked are compared. All others are counted by reason: another bundle has other scores, and
unranked slates have no features. A long window is bounded by a sample of whole requests. The parts of the log are read
one at a time, because a day of a large shop does not fit into memory.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from feature_repo.dataset.split import DAY
from feature_repo.dataset.tables import label_column
from inference.bundles.bundle import Bundle
from inference.drift.watched import ranked_rows
from inference.log.impressions import FEATURE_PREFIX, impressions_schema
from inference.log.reader import read_impressions, read_interactions

LABEL_KEYS = ("user_id", "request_id", "item_id")
MOST_REQUESTS = 2_500  # 50,000 rows; more rows do not make PSI more precise

Labels = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Window:
    """The served rows of a window.

    Attributes:
        shown: Ranked rows of the bundle, of at most `MOST_REQUESTS` requests, with the columns of the impression log.
        labels: Label column -> 0/1 of each of these rows [n], or the reason why there are no labels.
        num_left_out: Rows that cannot be compared, by reason; rows that the sample leaves out are not counted.
    """

    shown: pa.Table
    labels: Labels | str
    num_left_out: dict[str, int]

    @property
    def num_requests(self) -> int:
        """Number of requests."""
        return len(pc.unique(self.shown["request_id"]))


def read_window(
    bundle: Bundle, log: str, start: float, end: float, objectives: dict[str, tuple[str, ...]], seed: int
) -> Window:
    """Read a window.

    Args:
        bundle: The bundle whose slates are compared.
        log: Directory or URL of the log.
        start: Start of the window (exclusive), unix seconds.
        end: End of the window (inclusive), unix seconds.
        objectives: Objective -> event types that fulfil it.
        seed: Seed of the sample of requests.

    Raises:
        DatasetError: A part of the log cannot be read.
        StorageError: The log cannot be reached.
    """
    left_out: Counter[str] = Counter()
    first = FEATURE_PREFIX + bundle.feature_set.ranker_features[0]

    def ranked(part: pa.Table) -> pa.Table:
        """One row of each request of this bundle; counts the other rows by reason."""
        own = pc.equal(part["bundle_version"], bundle.version)
        same_features = pc.equal(part["feature_hash"], bundle.feature_set.hash)
        mine = pc.and_(pc.and_(own, same_features), pc.is_valid(part[first]))
        reasons = np.select(
            [_mask(mine), ~_mask(same_features), ~_mask(own)],
            ["", "served with another feature set", "served by another bundle"],
            "not ranked: similar items, unknown users or a degraded answer",
        )
        left_out.update(reason for reason in reasons.tolist() if reason)
        ids = part["request_id"].filter(mine)
        return part.filter(mine).take(pa.array(np.unique(ids.to_numpy(), return_index=True)[1]))

    columns = ["request_id", "timestamp", "bundle_version", "feature_hash", first]
    keys = read_impressions(log, start, end, columns, ranked)
    requests = pc.unique(keys["request_id"]).sort()
    if len(requests) > MOST_REQUESTS:
        drawn = np.random.default_rng(seed).choice(len(requests), MOST_REQUESTS, replace=False)
        requests = requests.take(pa.array(np.sort(drawn)))
    shown = _rows(bundle, log, start, end, requests)
    return Window(shown, _labels(log, shown, start, end, objectives), dict(left_out.most_common()))


def _rows(bundle: Bundle, log: str, start: float, end: float, requests: pa.Array) -> pa.Table:
    """The rows of the requests, with all columns."""

    def drawn(part: pa.Table) -> pa.Table:
        own = pc.equal(part["bundle_version"], bundle.version)
        return ranked_rows(part.filter(pc.and_(own, pc.is_in(part["request_id"], requests))))

    return read_impressions(log, start, end, impressions_schema(bundle.feature_set).names, drawn)


def _labels(
    log: str, shown: pa.Table, start: float, end: float, objectives: dict[str, tuple[str, ...]]
) -> Labels | str:
    """Labels of the shown rows, from events up to a day after the window."""
    requests = pc.unique(shown["request_id"])
    events = read_interactions(
        log,
        start,
        end + DAY,
        [*LABEL_KEYS, "event_type"],
        lambda part: part.filter(pc.is_in(part["request_id"], requests)),
    )
    if not events.num_rows:
        return "no events were reported for these requests"
    asked = _keys(shown)
    labels = {}
    for objective, types in objectives.items():
        done = events.filter(pc.is_in(events["event_type"], pa.array(types, pa.string())))
        happened = set(_keys(done))
        labels[label_column(objective)] = np.array([key in happened for key in asked], dtype=np.float64)
    return labels


def _keys(rows: pa.Table) -> list[tuple[str, ...]]:
    """`LABEL_KEYS` of every row: an event labels what its own user was shown."""
    return list(zip(*(rows[name].to_pylist() for name in LABEL_KEYS), strict=True))


def _mask(values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), dtype=np.bool_)
