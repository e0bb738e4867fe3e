"""Training examples: what users chose that the recommender could have shown them.

Owns which positive events are learned from. An example is a distinct (user, cell, item); the examples of a user and
cell share one history and are a group, so that a basket of twenty items is encoded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.retrieval.log import IndexArray, PositiveLog
from feature_repo.features.state import IntArray, OffsetArray, TimeArray


@dataclass(frozen=True, slots=True)
class Examples:
    """What the towers learn from: for each user and cell the distinct items chosen; sorted by cell, then user.

    Attributes:
        offsets: [g + 1], group i owns examples `offsets[i]:offsets[i + 1]`.
        users: User of each group [g].
        cells: Cell of each group [g].
        times: Unix seconds of each group's first event [g].
        request: Codes of the request columns of that event [g, columns].
        ends: Where the history ends: position in the log after the last event of an earlier cell [g].
        stops: Position in the log after the last event of the group's own cell [g].
        rows: Item rows [n].
    """

    offsets: OffsetArray
    users: IntArray
    cells: IntArray
    times: TimeArray
    request: IntArray
    ends: IndexArray
    stops: IndexArray
    rows: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def num_groups(self) -> int:
        """Number g of groups."""
        return len(self.users)

    @classmethod
    def of(cls, log: PositiveLog, repeats: str, until: float) -> Examples:
        """Positive pairs before `until` that the recommender could have shown: none that `repeats` ruled out."""
        at = np.flatnonzero(log.cells < log.grid.cell_from(until))
        pair = log.users[at].astype(np.int64) * (int(log.rows.max(initial=0)) + 1) + log.rows[at]
        order = np.lexsort((at, pair))
        pair, at = pair[order], at[order]
        cells = log.cells[at]
        same_pair = np.diff(pair, prepend=-1) == 0
        kept = ~(same_pair & (np.diff(cells, prepend=-1) == 0))
        if repeats == "never":
            kept &= ~same_pair
        elif repeats == "until-converted":
            kept &= ~_converted_before(pair, cells, log.grades[at] >= log.num_grades)
        at = at[kept]
        at = at[np.lexsort((at, log.users[at], log.cells[at]))]
        key = log.cells[at].astype(np.int64) * len(log.user_ids) + log.users[at]
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        first = at[starts]
        return cls(
            offsets=np.append(starts, len(at)).astype(np.int64),
            users=log.users[first],
            cells=log.cells[first],
            times=log.times[first],
            request=log.request[first],
            ends=log.known_at(log.users[first], log.cells[first]),
            stops=log.known_at(log.users[first], log.cells[first] + 1),
            rows=log.rows[at],
        )

    def latest(self, limit: int) -> Examples:
        """The latest groups that together have about `limit` examples at most."""
        start = int(np.searchsorted(self.offsets, len(self) - limit)) if limit < len(self) else 0
        return Examples(
            offsets=self.offsets[start:] - self.offsets[start],
            users=self.users[start:],
            cells=self.cells[start:],
            times=self.times[start:],
            request=self.request[start:],
            ends=self.ends[start:],
            stops=self.stops[start:],
            rows=self.rows[self.offsets[start] :],
        )

    def chunks(self, least: int) -> Iterator[slice]:
        """Runs of groups of whole cells with at least so many examples together (the last may have fewer)."""
        ends = np.append(np.flatnonzero(np.diff(self.cells)) + 1, self.num_groups)
        start = 0
        for end in ends.tolist():
            if start < end and (self.offsets[end] - self.offsets[start] >= least or end == self.num_groups):
                yield slice(start, end)
                start = end


def _converted_before(pair: IndexArray, cells: IntArray, converted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether an event's pair was converted in an earlier cell; events are sorted by pair and cell."""
    never = np.iinfo(np.int32).max
    starts = np.flatnonzero(np.diff(pair, prepend=-1) != 0)
    first = np.minimum.reduceat(np.where(converted, cells, never), starts) if len(starts) else np.zeros(0, np.int32)
    lengths = np.diff(np.append(starts, len(pair)))
    before: npt.NDArray[np.bool_] = np.repeat(first, lengths) < cells
    return before
