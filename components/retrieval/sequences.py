"""Training examples as positions of the log, and the windows of histories that contain them.

An example is an event whose item the user chose and the recommender could have shown. One pass of the user tower over a
window of a user's events gives the state before each of its examples. A chunk holds the examples of a span of time:
they share the state of the items (counts, ages, which items exist), so a chunk is short where items live for hours, and
long where they live for years.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.retrieval.log import IndexArray, PositiveLog, ragged
from feature_repo.dataset.repeats import least_ruled_out
from feature_repo.dataset.time_scales import item_life
from feature_repo.features.state import FloatArray, IntArray

CHUNKS_PER_LIFE = 8  # chunks within the time in which an item has most of its events


@dataclass(frozen=True, slots=True)
class HistoryWindows:
    """Spans of w users' events that are encoded at once.

    Attributes:
        starts: Position in the log of the first event that is read [w].
        firsts: Position from which events may be examples [w].
        stops: Position after the last event [w].
    """

    starts: IndexArray
    firsts: IndexArray
    stops: IndexArray

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, places: IndexArray) -> HistoryWindows:
        """The windows at the given places."""
        return HistoryWindows(self.starts[places], self.firsts[places], self.stops[places])


@dataclass(frozen=True, slots=True)
class Examples:
    """Training examples of the towers.

    Attributes:
        positions: Positions of n events in the log, ascending.
        weights: Weight of every event of the log in the loss, 0 if it is not an example [events].
    """

    positions: IndexArray
    weights: FloatArray

    def __len__(self) -> int:
        return len(self.positions)

    @classmethod
    def of(cls, log: PositiveLog, repeats: str, until: float, *, damping: float, limit: int) -> Examples:
        """Distinct items per user and cell before `until` that `repeats` allowed the recommender to show.

        Args:
            log: Positive events.
            repeats: The dataset's rule.
            until: Unix seconds.
            damping: An example of a user's cell with n examples has the weight n ** -damping.
            limit: Maximum number of examples; the latest are kept.
        """
        at = np.flatnonzero(log.cells < log.grid.cell_from(until))
        pair = log.users[at].astype(np.int64) * (int(log.rows.max(initial=0)) + 1) + log.rows[at]
        order = np.lexsort((at, pair))
        pair, at = pair[order], at[order]
        cells = log.cells[at]
        same_pair = np.diff(pair, prepend=-1) == 0
        kept = ~(same_pair & (np.diff(cells, prepend=-1) == 0))
        kept &= ~_ruled_out_before(pair, cells, log.grades[at] >= least_ruled_out(repeats, log.num_grades))
        positions = np.sort(at[kept])
        if len(positions) > limit:
            positions = np.sort(positions[np.argsort(log.times[positions], kind="stable")[len(positions) - limit :]])
        groups = log.users[positions].astype(np.int64) * (log.grid.count + 1) + log.cells[positions]
        _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        weights = np.zeros(len(log), dtype=np.float32)
        weights[positions] = sizes[group].astype(np.float32) ** -damping
        return cls(positions, weights)

    def chunks(self, log: PositiveLog, least: int) -> Iterator[IndexArray]:
        """Positions of the examples of consecutive spans of time, each at least as long as `chunk_seconds`.

        Args:
            log: The log of the examples.
            least: Minimum number of examples; the last chunk may hold fewer.
        """
        if not len(self):
            return
        times = log.times[self.positions]
        steps = np.floor((times - log.grid.start) / chunk_seconds(log)).astype(np.int64)
        order = np.argsort(steps, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(steps[order])) + 1, len(order))
        start = 0
        for end in ends.tolist():
            if end - start >= least or end == len(order):
                yield np.sort(self.positions[order[start:end]])
                start = end


def windows_of(log: PositiveLog, positions: IndexArray, length: int) -> HistoryWindows:
    """Windows that contain the given examples.

    A window reads `length` events where there are as many. The examples of one user are cut into windows of at most
    `length` events, each with at least half as many events before its first example as the history has.

    Args:
        log: Positive events.
        positions: Positions of examples, ascending.
        length: Number of events that the user tower reads.
    """
    users = log.users[positions]
    begins = np.flatnonzero(np.diff(users, prepend=-1))
    first = positions[begins]
    stop = positions[np.append(begins[1:], len(positions)) - 1] + 1
    pieces = -(-(stop - first) // length)
    number, owner = ragged(np.zeros(len(pieces), dtype=np.int64), pieces)
    stops = stop[owner] - number * length
    firsts = np.maximum(first[owner], stops - length)
    starts = np.minimum(firsts - length // 2, stops - length)
    return HistoryWindows(np.maximum(starts, log.offsets[log.users[firsts]]), firsts, stops)


def chunk_seconds(log: PositiveLog) -> float:
    """Length of a chunk: a part of the life of the items, at least a cell."""
    return max(item_life(log.rows, log.times) / CHUNKS_PER_LIFE, log.grid.step)


def _ruled_out_before(pair: IndexArray, cells: IntArray, reached: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether an earlier event of the pair ruled it out, in an earlier cell; events are sorted by pair and cell."""
    never = np.iinfo(np.int32).max
    starts = np.flatnonzero(np.diff(pair, prepend=-1) != 0)
    first = np.minimum.reduceat(np.where(reached, cells, never), starts) if len(starts) else np.zeros(0, np.int32)
    lengths = np.diff(np.append(starts, len(pair)))
    before: npt.NDArray[np.bool_] = np.repeat(first, lengths) < cells
    return before
